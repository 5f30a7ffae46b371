package e2e

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
)

// PNG is a small picture of rings, valid and not the same for two seeds.
func PNG(seed uint8) []byte {
	const n = 96
	img := image.NewRGBA(image.Rect(0, 0, n, n))
	for y := range n {
		for x := range n {
			dx, dy := x-n/2, y-n/2
			ring := uint8((dx*dx + dy*dy) / 64 % 11 * 20)
			img.Set(x, y, color.RGBA{ring, 90 + seed%100, 95, 255})
		}
	}
	img.Set(0, 0, color.RGBA{seed, seed, seed, 255})
	var b bytes.Buffer
	png.Encode(&b, img) // a bytes.Buffer takes everything
	return b.Bytes()
}
