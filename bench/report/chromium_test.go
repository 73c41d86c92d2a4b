package report

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	print "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"redrpc/bench"
	"redrpc/bench/capacity"
	"redrpc/internal/redistest"
)

var shots = flag.String("shots", "", "a directory for pictures of the pages, to look at")

// A browser is one tab of a headless Chromium.
type browser struct {
	ctx context.Context
	dir string

	mu       sync.Mutex // guards the rest
	said     []string   // to the console, by exceptions and by the browser itself
	requests []string
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		redistest.Missing(t, "chromium")
	}
	b := &browser{dir: t.TempDir()}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // that of the test ends before it is cleaned up
	t.Cleanup(cancel)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox) // CI is root
	allocator, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	tab, closeTab := chromedp.NewContext(allocator, chromedp.WithListener(b.heard))
	t.Cleanup(func() {
		if err := chromedp.Cancel(tab); err != nil {
			t.Log("closing the browser:", err)
		}
		closeTab()
	})
	b.ctx = tab
	return b
}

func (b *browser) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		text, _ := json.Marshal(e.Args)
		b.said = append(b.said, "console: "+string(text))
	case *runtime.EventExceptionThrown:
		text, _ := json.Marshal(e.ExceptionDetails)
		b.said = append(b.said, "exception: "+string(text))
	case *browserlog.EventEntryAdded:
		b.said = append(b.said, "log: "+e.Entry.Text)
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

// heardSoFar takes what was heard.
func (b *browser) heardSoFar() (said, requests []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	said, requests = b.said, b.requests
	b.said, b.requests = nil, nil
	return said, requests
}

// show opens what write writes.
func (b *browser) show(t *testing.T, name string, write func(io.Writer) error) string {
	t.Helper()
	path := filepath.Join(b.dir, name+".html")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	address := (&url.URL{Scheme: "file", Path: path}).String()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	return address
}

// look makes the page as wide as a screen, in the colours of a theme, or as on paper.
func (b *browser) look(t *testing.T, width int, theme, media string) {
	t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(int64(width), 900), func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media: media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
		})
		return chromedp.Void{}, err
	}); err != nil {
		t.Fatal(err)
	}
	// Charts are drawn again by an observer, which runs before the second next frame.
	eval[bool](t, b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
}

func eval[T any](t *testing.T, b *browser, script string) T {
	t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return v
}

func (b *browser) shoot(t *testing.T, name string) {
	t.Helper()
	if *shots == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// inspect returns what is wrong with the page as it is looked at.
const inspect = `(() => {
	const wrong = [];
	const root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) wrong.push("scrolls sideways: " + root.scrollWidth + " > " + root.clientWidth);
	for (const figure of document.querySelectorAll("figure")) {
		const svg = figure.querySelector(".plot > svg"), plot = figure.querySelector(".plot");
		if (!svg) { wrong.push(figure.id + ": nothing is drawn"); continue; }
		const box = svg.getBoundingClientRect();
		if (Math.abs(box.width - plot.clientWidth) > 1 || box.height < 100) wrong.push(figure.id + ": drawn at " + box.width + "x" + box.height + " in " + plot.clientWidth);
		const marks = [...svg.querySelectorAll(".line, .bar, .dot, .hollow")].filter(e => { const b = e.getBBox(); return b.width + b.height > 0; });
		if (!marks.length) wrong.push(figure.id + ": no line, bar or dot");
		if (svg.querySelectorAll("text").length < 4) wrong.push(figure.id + ": no labels");
		for (const e of svg.querySelectorAll("*")) for (const a of e.attributes) if (/NaN|Infinity|undefined/.test(a.value)) wrong.push(figure.id + ": " + a.name + "=" + a.value.slice(0, 60));
		for (const text of svg.querySelectorAll("text")) {
			const b = text.getBoundingClientRect();
			if (b.left < box.left - 1 || b.right > box.right + 1) wrong.push(figure.id + ": the label " + text.textContent + " is cut");
		}
		if (!plot.getAttribute("aria-label")) wrong.push(figure.id + ": no text in place of the picture");
	}
	for (const th of document.querySelectorAll("tbody th")) {
		const range = document.createRange();
		for (const n of th.childNodes) if (n.nodeType === 3) for (const m of n.textContent.matchAll(/[a-z]{3,10}/g)) {
			range.setStart(n, m.index), range.setEnd(n, m.index + m[0].length);
			if (range.getClientRects().length > 1 && !/(long){4}/.test(n.textContent)) wrong.push("the name " + n.textContent + " is torn apart");
		}
	}
	for (const cell of document.querySelectorAll(".text tr > :last-child")) {
		const hasNoRoom = /\S{60}/.test(cell.closest("table").textContent); // it may scroll
		if (!hasNoRoom && cell.getBoundingClientRect().right > root.clientWidth + 1) wrong.push("the text " + cell.textContent.slice(0, 40) + " is out of sight");
	}
	// Contrast of texts with what is behind them, WCAG 2.2, 1.4.3.
	const rgb = c => c.match(/[\d.]+/g).map(Number);
	const light = c => { const [r, g, b] = rgb(c).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (rgb(c)[3] !== 0) return c; } return "rgb(255,255,255)"; };
	for (const e of document.querySelectorAll("h1,h2,h3,p,li,dt,dd,th,td,small,summary,strong,button,code,footer,.message,text")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length) continue;
		const style = getComputedStyle(e), a = light(e.namespaceURI.endsWith("svg") ? style.fill : style.color), b = light(behind(e));
		const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		if (ratio < 4.5) wrong.push(e.tagName + " " + e.textContent.slice(0, 20) + ": contrast " + ratio.toFixed(2));
	}
	return [...new Set(wrong)].slice(0, 20);
})()`

// Every page, in a real browser: at two sizes and in both themes, and on paper.
func TestPagesInChromium(t *testing.T) {
	b := startBrowser(t)
	for name, c := range pages(t) {
		t.Run(name, func(t *testing.T) {
			address := b.show(t, name, c.write)
			if n := eval[int](t, b, `document.querySelectorAll("figure").length`); n != c.charts {
				t.Errorf("%d charts, expected %d", n, c.charts)
			}
			text := eval[string](t, b, `document.body.innerText`)
			for _, want := range c.texts {
				if !strings.Contains(text, want) {
					t.Errorf("expected %q in the page\n%s", want, text)
				}
			}
			for _, width := range []int{1280, 390} {
				for _, theme := range []string{"light", "dark"} {
					b.look(t, width, theme, "screen")
					for _, wrong := range eval[[]string](t, b, inspect) {
						t.Errorf("%d wide, %s: %s", width, theme, wrong)
					}
					if back := eval[string](t, b, `getComputedStyle(document.body).backgroundColor`); (back < "rgb(2") != (theme == "dark") {
						t.Errorf("%s: the background is %s", theme, back)
					}
					b.shoot(t, fmt.Sprintf("%s-%d-%s", name, width, theme))
				}
			}
			b.look(t, 720, "dark", "print")
			for _, wrong := range eval[[]string](t, b, inspect) {
				t.Errorf("on paper: %s", wrong)
			}
			if back := eval[string](t, b, `getComputedStyle(document.body).backgroundColor`); back != "rgb(255, 255, 255)" {
				t.Errorf("on paper: the background is %s", back)
			}
			b.shoot(t, name+"-paper")
			said, requests := b.heardSoFar()
			if len(said) > 0 {
				t.Errorf("the browser says %q", said)
			}
			for _, r := range requests {
				if r != address && !strings.HasPrefix(r, "data:") {
					t.Errorf("asked for %s", r)
				}
			}
		})
	}
	t.Run("what a reader does", func(t *testing.T) { useAPage(t, b) })
}

// useAPage points, presses keys, hides a line and opens a table.
func useAPage(t *testing.T, b *browser) {
	b.show(t, "used", sample().WriteHTML)
	b.look(t, 1280, "light", "screen")
	if *shots != "" {
		eval[bool](t, b, `[...document.querySelectorAll(".plot")].every(p => { const r = p.getBoundingClientRect(); p.dispatchEvent(new PointerEvent("pointermove", {clientX: r.left + r.width * .7, clientY: r.top + 50})); return true; })`)
		b.shoot(t, "open-pointed")
		eval[bool](t, b, `[...document.querySelectorAll(".plot")].every(p => p.dispatchEvent(new PointerEvent("pointerleave")))`)
	}
	for what, script := range map[string]string{
		"a tip at the pointer, and the line in the other charts over time": `(() => {
			const plots = [...document.querySelectorAll(".plot")].slice(2, 5), box = plots[0].getBoundingClientRect();
			plots[0].dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width / 2, clientY: box.top + 50}));
			const tip = plots[0].querySelector(".tip").innerText, lines = plots.filter(p => p.querySelector(".cursor")).length;
			plots[0].dispatchEvent(new PointerEvent("pointerleave"));
			return /\d s\n/.test(tip) && /answered\s*\d+/.test(tip) && lines === 3 && !document.querySelector(".tip, .cursor");
		})()`,
		"the same by keys": `(() => {
			const plot = document.querySelector(".plot");
			for (const key of ["End", "ArrowLeft"]) plot.dispatchEvent(new KeyboardEvent("keydown", {key}));
			const tip = plot.querySelector(".tip").innerText;
			plot.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"}));
			return /99\.9/.test(tip) && /ms/.test(tip) && !plot.querySelector(".tip");
		})()`,
		"a line that is hidden and shown": `(() => {
			const figure = document.querySelector("figure"), lines = () => figure.querySelectorAll(".plot .line").length;
			const button = figure.querySelector(".legend button"), before = lines();
			button.click();
			const hidden = lines(), pressed = button.getAttribute("aria-pressed");
			button.click();
			return before === 2 && hidden === 1 && pressed === "false" && lines() === 2;
		})()`,
		"a table behind each chart": `(async () => {
			for (const details of document.querySelectorAll("figure details")) {
				details.open = true;
				await new Promise(done => setTimeout(done)); // the event of it comes later
				if (details.querySelectorAll("tbody tr").length < 2 || details.querySelector("caption").textContent === "") return false;
			}
			return document.documentElement.scrollWidth <= document.documentElement.clientWidth;
		})()`,
	} {
		if !eval[bool](t, b, script) {
			t.Errorf("expected %s", what)
		}
	}
	pdf, err := chromedp.Run(b.ctx, func(ctx context.Context, tab *chromedp.Target) ([]byte, error) {
		r, err := cdp.Call(ctx, tab, print.PrintToPDF, print.PrintToPDFParams{PrintBackground: new(true)})
		return r.Data, err
	})
	if err != nil || len(pdf) < 20_000 {
		t.Errorf("printed %d bytes, %v", len(pdf), err)
	}
	if *shots != "" {
		if err := os.WriteFile(filepath.Join(*shots, "open.pdf"), pdf, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if said, _ := b.heardSoFar(); len(said) > 0 {
		t.Errorf("the browser says %q", said)
	}
	// The test would hear a complaint, and the policy lets nothing out.
	if eval[string](t, b, `fetch("data:,x").then(() => "went out", () => "refused")`) != "refused" {
		t.Error("the page can send requests")
	}
	if eval[bool](t, b, `(() => { const s = document.createElement("script"); s.textContent = "window.foreign = 1"; document.body.append(s); return "foreign" in window; })()`) {
		t.Error("the page runs scripts that are not its own")
	}
	if said, _ := b.heardSoFar(); len(said) < 2 || !strings.Contains(strings.Join(said, " "), "Content Security Policy") {
		t.Errorf("the browser says %q, expected that it refused", said)
	}
}

type testPage struct {
	write  func(io.Writer) error
	charts int
	texts  []string
}

func pages(t testing.TB) map[string]testPage {
	diverging, invalid, hostile := sample(), sample(), sample()
	diverging.Verdict = bench.Verdict{State: bench.Diverging, Reasons: []string{"the backlog grew by 120 calls per second"}}
	invalid.Verdict = bench.Verdict{State: bench.Invalid, Reasons: []string{"the generator was late"}, Checks: []bench.Check{{Name: "lag", Result: bench.Failed, Text: "p99 34ms"}}}
	twoBanners := objective(invalid)
	missed := *twoBanners.Result
	missed.Dropped, twoBanners.Result = 1200, &missed
	evil := `</script><img src=x onerror=alert(1)>"'<b>&amp;` + strings.Repeat("long", 50)
	hostile.Model, hostile.Bottleneck = evil, evil
	hostile.ErrorsByKind, hostile.ErrorSamples = map[string]int64{evil: 5}, map[string]string{evil: evil}
	hostile.Settings = Settings{{evil, evil}}
	hostile.Phases[0].Name, hostile.Resources[0].Name = evil, evil
	hostile.Intervals[10].Gauges = map[string]float64{evil: 4, "far": 1e9}
	hostile.Counters = map[string]float64{evil: 1}
	evilSearch, evilComparison := searchSample(), comparisonSample()
	evilSearch.SLO, evilSearch.LimitingFactor, evilSearch.Trials[0].Outcome = evil, evil, capacity.Outcome(evil)
	evilComparison.Comparison.A, evilComparison.Metrics[0].Text = evil, evil
	return map[string]testPage{
		"sweep":           {sweepSample(t, true).WriteHTML, 4, []string{"Knee", "Contention", "by number of callers"}},
		"rates":           {sweepSample(t, false).WriteHTML, 4, []string{"diverging", "No fit of the Universal Scalability Law: the loads are rates"}},
		"search":          {searchSample().WriteHTML, 8, []string{"Confirmed", "3,000 calls/s", "the generator was late"}},
		"comparison":      {comparisonSample().WriteHTML, 2, []string{"WORSE", "+12 %", "-5 %", "+8 % to +16 %"}},
		"plan":            {planSample().WriteHTML, 1, []string{"A prediction by simulation", "Poisson's process"}},
		"evil-search":     {evilSearch.WriteHTML, 8, []string{"<img src=x onerror=alert(1)>"}},
		"evil-comparison": {evilComparison.WriteHTML, 2, []string{"<img src=x onerror=alert(1)>"}},
		"open": {sample().WriteHTML, 6, []string{"Load test: open loop, poisson:500", "627", "Valid, with a warning",
			"the second half was 4.1 % slower", "The server's workers: 92 % busy", "division by zero", "Example CPU", "redis mode", "Little's law"}},
		"two-banners": {twoBanners.WriteHTML, 6, []string{"SLO NOT JUDGED", "INVALID", "Dropped", "1,200"}},
		"closed":      {closed(400).WriteHTML, 2, []string{"closed loop sends nothing while the system stalls", "3.96"}},
		"empty":       {closed(0).WriteHTML, 0, []string{"Errors", "100 %"}},
		"diverging":   {diverging.WriteHTML, 4, []string{"DIVERGING", "the backlog grew by 120 calls per second"}},
		"invalid":     {invalid.WriteHTML, 6, []string{"INVALID", "do not use its figures", "the generator was late"}},
		"hostile":     {hostile.WriteHTML, 9, []string{"<img src=x onerror=alert(1)>"}},
	}
}

// What a report says is text to the page.
func TestHTMLEscapes(t *testing.T) {
	for name, c := range pages(t) {
		text := written(t, c.write)
		if strings.Count(text, "<script") != 2 || strings.Contains(text, "<img") || strings.Contains(text, "style=") {
			t.Errorf("%s: a tag of a report's text is one of the page", name)
		}
		for _, outside := range []string{"http://", "https://", "src=\"", "@import", "url("} {
			if strings.Contains(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", ""), outside) {
				t.Errorf("%s: %s is in the page", name, outside)
			}
		}
	}
}
