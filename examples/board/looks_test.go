package main

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/ringwall/ringwall/examples/e2e"
)

// The pages fit a phone and work in a real browser, with the content security
// policy on.
func TestOnAPhone(t *testing.T) {
	_, admin, fleet, _ := startBoard(t)
	ctx := t.Context()
	a, v := admin.client(t), fleet.client(t)
	must(t, a.Login(ctx, operator))
	image, err := a.Upload(ctx, e2e.PNG(3))
	must(t, err)
	id, err := a.Publish(ctx, 0, "Lantern walk on Friday evening", `<p>We meet at <strong>six</strong> by the north gate.</p><p><img src="`+image+`" alt="Rings in many shades"></p>`)
	must(t, err)
	must(t, v.Comment(ctx, id, "Ada", "I bring tea for everybody. Averyveryverylongwordwithoutanyspacethatmustnotwidenthepage"))

	b, err := e2e.OpenBrowser(ctx, 390)
	if err != nil {
		t.Fatalf("NOT RUN: %v", err)
	}
	defer b.Close()
	must(t, b.Do(chromedp.EmulateViewport(390, 844)))
	for name, url := range map[string]string{
		"list": fleet.url + "/", "post": fmt.Sprintf("%s/posts/%d", fleet.url, id), "login": admin.url + "/admin/login", "missing": fleet.url + "/nope",
	} {
		must(t, b.Do(chromedp.Navigate(url), chromedp.WaitVisible("main")))
		wide, err := b.Eval(`String(document.documentElement.scrollWidth - document.documentElement.clientWidth)`)
		must(t, err)
		if wide != "0" {
			t.Errorf("%s is %s px wider than a phone", name, wide)
		}
		must(t, b.Shoot(e2e.Artefact("board-"+name+".png")))
	}

	must(t, b.Do(chromedp.Navigate(admin.url+"/admin/login"), chromedp.SetValue("input[name=username]", operator.Username),
		chromedp.SetValue("input[name=password]", operator.Password), chromedp.Click("main button"), chromedp.WaitVisible(".images")))
	must(t, b.Shoot(e2e.Artefact("board-admin.png")))
	must(t, b.Do(chromedp.Navigate(admin.url+"/admin/posts/new"), chromedp.SetValue("input[name=title]", "From a browser"),
		chromedp.SetValue("textarea[name=body]", "<p>Typed</p>"), chromedp.Click("main form button"), chromedp.WaitVisible(".danger")))
	must(t, b.Shoot(e2e.Artefact("board-edit.png")))

	// A reader is told of a new comment without a reload.
	must(t, b.Do(chromedp.Navigate(fleet.url+"/"), chromedp.WaitVisible("main")))
	_, err = v.CommentJSON(ctx, id, "Grace", "Live")
	must(t, err)
	must(t, b.Do(chromedp.WaitVisible("#news")))
	must(t, b.Shoot(e2e.Artefact("board-news.png")))
}
