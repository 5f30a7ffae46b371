//go:build linux

package local

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/tlsca"
)

// lowDisk is the room under which a site tells its owner: a database needs some
// to write its log of changes.
const lowDisk = 32 << 20

// diskNote says that the disk of the state is full, or nearly; else it is empty.
func (h *hub) diskNote() string {
	var st unix.Statfs_t
	if err := unix.Statfs(h.State.Dir, &st); err != nil {
		return fmt.Sprintf("looking for room on the disk of %s: %v", h.State.Dir, err)
	}
	if room := st.Bavail * uint64(st.Bsize); room < lowDisk {
		return fmt.Sprintf("the disk is full: %d MiB left in %s; what is written may be refused until there is room; the site goes on by itself then", room>>20, h.State.Dir)
	}
	return ""
}

// watchDisk tells when the disk is full, and when there is room again.
func (h *hub) watchDisk(ctx context.Context) {
	full := false
	for {
		note := h.diskNote()
		switch {
		case note != "" && !full:
			h.step(Step{Part: "site", State: "note", Text: note})
		case note == "" && full:
			h.step(Step{Part: "site", State: "note", Text: "there is room on the disk again"})
		}
		full = note != ""
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// certificateEvery is how soon a jump of the clock is noticed.
const certificateEvery = 2 * time.Second

// watchCertificate renews the edge's certificate before it ends, and when the
// clock has jumped out of its time. A given certificate is read again, because
// whoever gave it renews it in its place.
func (h *hub) watchCertificate(ctx context.Context) {
	told := false
	for {
		pause := certificateEvery
		if told {
			pause = time.Minute
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if !h.certificateDue(time.Now()) {
			told = false
			continue
		}
		err := h.rotateTLS(ctx)
		if err == nil && h.certificateDue(time.Now()) {
			err = fmt.Errorf("the given certificate ends soon or is not valid yet; put a new one into %s", h.Plan.Edge.CertFile)
		}
		switch {
		case err == nil:
			h.step(Step{Part: "edge", State: "note", Text: "shows a new certificate: the time of the former one is over soon, or the clock has jumped"})
		case !told && ctx.Err() == nil:
			told = true
			h.step(Step{Part: "edge", State: "note", Text: "renewing the certificate: " + err.Error()})
		}
	}
}

func (h *hub) certificateDue(now time.Time) bool {
	h.front.mu.Lock()
	chain := h.front.cert.Chain
	h.front.mu.Unlock()
	return tlsca.Due([]byte(chain), now)
}
