"use strict";
// Draws the charts that the page's data describes into its figures, as SVG in the
// page's own colours, at the size they have; again when that changes. What a chart
// means was decided before: here are only scales, lines and the pointer.
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const NS = "http://www.w3.org/2000/svg";
  const groups = new Map(); // charts that share a cursor

  const svg = (tag, attributes, ...children) => {
    const e = document.createElementNS(NS, tag);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    e.append(...children);
    return e;
  };
  const html = (tag, properties, ...children) => {
    const e = Object.assign(document.createElement(tag), properties);
    e.append(...children);
    return e;
  };
  const at = v => v.toFixed(1);

  // ---- numbers as people read them
  const digits = v => v === 0 ? "0" : v < 9.995 ? v.toFixed(2) : v < 99.95 ? v.toFixed(1) : v.toFixed(0);
  const plain = v => String(+v.toPrecision(4));
  const grouped = v => Math.round(v).toLocaleString("en-US");
  const duration = (us, write) => {
    if (us === 0) return "0";
    const a = Math.abs(us);
    if (a < 1) return write(us * 1e3) + " ns";
    if (a < 1e3 * .9995) return write(us) + " µs";
    if (a < 1e6 * .9995) return write(us / 1e3) + " ms";
    return write(us / 1e6) + " s";
  };
  const nines = x => { // x is -log10(1-quantile)
    const q = 100 * (1 - 10 ** -x);
    return +q.toFixed(Math.max(1, Math.ceil(x))) + " %";
  };
  const formats = { // in full, and as the label of a tick
    us: [v => duration(v, digits), v => duration(v, plain)],
    s: [v => plain(v) + " s", v => plain(v) + (v === 0 ? "" : " s")],
    nines: [nines, nines],
    percent: [v => plain(v) + " %", v => plain(v) + " %"],
    number: [v => Math.abs(v) >= 100 || Number.isInteger(v) ? grouped(v) : plain(v),
      v => Math.abs(v) >= 1e6 ? plain(v / 1e6) + " M" : Math.abs(v) >= 1e4 ? plain(v / 1e3) + " k" : plain(v)],
  };

  // ---- scales
  const toScale = { linear: v => v, log: v => Math.log10(Math.max(v, 1e-9)), nines: v => v };
  const limits = axis => {
    let { min, max } = axis;
    if (axis.scale === "log") {
      min = Math.max(min, 1e-9);
      if (max / min < 1.5) { min /= 1.3; max *= 1.3; }
    } else if (!(max > min)) {
      max = min + 1;
    }
    return [min, max];
  };
  const ticks = (axis, min, max, room) => {
    const out = [];
    if (axis.scale === "nines") {
      for (const x of [0, Math.log10(2), 1, 2, 3, 4, 5, 6, 7, 8]) if (x <= max + 1e-9) out.push(x);
      return out;
    }
    if (axis.scale === "log") {
      const decades = Math.log10(max / min);
      const per = [[1, 2, 5], [1, 3], [1]].find(p => decades * p.length <= room) || [1];
      const skip = Math.max(1, Math.ceil(decades / Math.max(room, 1)));
      for (let d = Math.floor(Math.log10(min)); d <= Math.log10(max) + 1e-9; d++)
        for (const p of per) {
          const v = p * 10 ** d;
          if ((p > 1 || d % skip === 0) && v >= min * .999 && v <= max * 1.001) out.push(v);
        }
      if (out.length > 1) return out;
      out.length = 0; // less than a decade
    }
    const raw = (max - min) / Math.max(room, 1), magnitude = 10 ** Math.floor(Math.log10(raw));
    const step = magnitude * ([1, 2, 5].find(s => s * magnitude >= raw) || 10);
    for (let v = Math.ceil(min / step - 1e-9) * step; v <= max + step * 1e-9; v += step) out.push(+v.toPrecision(12));
    return out;
  };

  // ---- one chart
  class Chart {
    constructor(figure, spec) {
      Object.assign(this, { figure, spec, hidden: new Set(), plot: figure.querySelector(".plot") });
      this.plot.tabIndex = 0;
      this.plot.setAttribute("role", "img");
      this.plot.setAttribute("aria-label", spec.summary);
      this.xs = [...new Set(spec.series.flatMap(s => s.x))].sort((a, b) => a - b);
      if (spec.series.length > 1 || spec.series[0].kind === "line") this.legend();
      const details = figure.querySelector("details");
      details.addEventListener("toggle", () => { if (details.open) this.table(details); }, { once: true });
      if (spec.group) groups.set(spec.group, [...(groups.get(spec.group) || []), this]);
      const point = e => this.point(this.nearest(e.clientX - this.plot.getBoundingClientRect().left));
      this.plot.addEventListener("pointermove", point);
      this.plot.addEventListener("pointerdown", point);
      this.plot.addEventListener("pointerleave", () => this.point(null));
      this.plot.addEventListener("blur", () => this.point(null));
      this.plot.addEventListener("keydown", e => {
        const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[e.key];
        if (e.key === "Escape") this.point(null);
        if (!move) return;
        e.preventDefault();
        const now = this.x === undefined || this.x === null ? (move > 0 ? -1 : this.xs.length) : this.xs.indexOf(this.x);
        this.point(this.xs[Math.min(this.xs.length - 1, Math.max(0, now + move))]);
      });
      new ResizeObserver(() => { if (this.plot.clientWidth && this.plot.clientWidth !== this.width) this.draw(); }).observe(this.plot);
      this.draw();
    }

    legend() {
      const list = html("ul", { className: "legend" });
      for (const s of this.spec.series) {
        if (s.kind === "band") continue;
        const sample = svg("svg", { viewBox: "0 0 22 10", "aria-hidden": "true", class: "c" + s.color });
        sample.append(s.kind === "line" ? svg("path", { d: "M1 5H21", class: "line" + (s.dashed ? " dashed" : "") })
          : s.kind === "points" ? svg("circle", { cx: 11, cy: 5, r: 4, class: s.hollow ? "hollow" : "dot" })
          : svg("rect", { x: 4, y: 0, width: 14, height: 10, rx: 2, class: "bar" }));
        const button = html("button", { type: "button" }, sample, s.name);
        button.setAttribute("aria-pressed", "true");
        button.addEventListener("click", () => {
          const off = !this.hidden.delete(s.name);
          if (off) this.hidden.add(s.name);
          button.setAttribute("aria-pressed", String(!off));
          this.draw();
        });
        list.append(html("li", {}, button));
      }
      for (const label of new Set((this.spec.shades || []).map(s => s.label))) {
        const sample = svg("svg", { viewBox: "0 0 22 10", "aria-hidden": "true" }, svg("rect", { x: 4, width: 14, height: 10, class: "shade" }));
        list.append(html("li", { className: "fixed" }, sample, label));
      }
      this.plot.before(list);
    }

    draw() {
      const { spec } = this, W = this.width = this.plot.clientWidth || 600, H = this.height = W < 520 ? 230 : spec.tall ? 340 : 250;
      const [xmin, xmax] = limits(spec.x), [ymin, ymax] = limits(spec.y);
      const fx = toScale[spec.x.scale], fy = toScale[spec.y.scale];
      const yTicks = ticks(spec.y, ymin, ymax, Math.round(H / 50));
      const yLabels = yTicks.map(formats[spec.y.format][1]);
      const left = 14 + 6.7 * Math.max(3, ...yLabels.map(l => l.length)), right = 14, top = 22, bottom = 38;
      const px = this.px = v => left + (fx(v) - fx(xmin)) / (fx(xmax) - fx(xmin)) * (W - left - right);
      const py = this.py = v => H - bottom - (fy(Math.max(v, spec.y.scale === "log" ? ymin : v)) - fy(ymin)) / (fy(ymax) - fy(ymin)) * (H - top - bottom);
      const root = svg("svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, "aria-hidden": "true" });

      for (const s of spec.shades || []) {
        const a = px(Math.max(s.from, xmin)), b = px(Math.min(s.to, xmax));
        root.append(svg("rect", { x: at(a), y: top, width: at(Math.max(0, b - a)), height: H - top - bottom, class: "shade" }));
      }
      yTicks.forEach((v, i) => root.append(
        svg("path", { d: `M${at(left)} ${at(py(v))}H${W - right}`, class: "grid" }),
        svg("text", { x: at(left - 7), y: at(py(v) + 4), "text-anchor": "end" }, yLabels[i])));
      root.append(svg("text", { x: 0, y: 11, class: "axis" }, spec.y.label), svg("path", { d: `M${at(left)} ${H - bottom}H${W - right}`, class: "base" }));
      let end = -Infinity;
      for (const v of ticks(spec.x, xmin, xmax, Math.round(W / 90))) {
        const label = formats[spec.x.format][1](v), half = 3.4 * label.length, x = Math.min(Math.max(px(v), half), W - half);
        root.append(svg("path", { d: `M${at(px(v))} ${H - bottom}v5`, class: "base" }));
        if (x - half < end + 8) continue;
        end = x + half;
        root.append(svg("text", { x: at(x), y: H - bottom + 18, "text-anchor": "middle" }, label));
      }
      root.append(svg("text", { x: W - right, y: H - 4, "text-anchor": "end", class: "axis" }, spec.x.label));
      for (const s of this.shown()) this.series(root, s, top, H - bottom);
      let low = -Infinity, row = 0;
      for (const m of spec.marks || []) {
        const x = px(m.at), label = svg("text", { y: 0 }, m.label), w = 6.8 * m.label.length;
        row = x < low + 6 ? row + 1 : 0;
        const flip = x + w + 6 > W;
        low = x + w;
        label.setAttribute("x", at(flip ? x - 5 : x + 5));
        label.setAttribute("text-anchor", flip ? "end" : "start");
        label.setAttribute("y", at(top + 10 + 14 * row));
        root.append(svg("g", { class: "mark" }, svg("path", { d: `M${at(x)} ${top}V${H - bottom}`, class: "marker" }), label));
      }
      this.top = svg("g", {});
      root.append(this.top);
      this.plot.querySelector("svg")?.remove();
      this.plot.prepend(root);
      this.show(this.x ?? null);
    }

    shown() { return this.spec.series.filter(s => !this.hidden.has(s.kind === "band" ? s.of : s.name)); }

    series(root, s, top, bottom) {
      const g = svg("g", { class: "c" + s.color }), { px, py } = this;
      if (s.kind === "bars") {
        s.x.forEach((from, i) => {
          if (!s.y[i]) return;
          const a = px(from), b = px(s.to[i]), y = Math.min(py(s.y[i]), bottom - 1);
          g.append(svg("rect", { x: at(a + .5), y: at(y), width: at(Math.max(1, b - a - 1)), height: at(bottom - y), class: "bar" }));
        });
      } else if (s.kind === "points") {
        s.x.forEach((x, i) => { if (s.y[i] !== null) g.append(svg("circle", { cx: at(px(x)), cy: at(py(s.y[i])), r: 4.5, class: s.hollow ? "hollow" : "dot" })); });
      } else if (s.kind === "band") {
        let run = [];
        const flush = () => {
          if (run.length > 1) g.append(svg("path", { class: "band", d: "M" + run.map(i => at(px(s.x[i])) + " " + at(py(s.y[i]))).join("L")
            + "L" + run.reverse().map(i => at(px(s.x[i])) + " " + at(py(s.low[i]))).join("L") + "Z" }));
          run = [];
        };
        s.x.forEach((_, i) => { if (s.y[i] === null || s.low[i] === null) flush(); else run.push(i); });
        flush();
      } else {
        let d = "", pen = "M", alone = 0;
        s.x.forEach((x, i) => {
          if (s.y[i] === null) { pen = "M"; return; }
          const first = pen === "M";
          d += pen + at(px(x)) + " " + at(py(s.y[i]));
          pen = "L";
          if (first && (i + 1 === s.x.length || s.y[i + 1] === null)) { alone++; g.append(svg("circle", { cx: at(px(x)), cy: at(py(s.y[i])), r: 2.5, class: "dot" })); }
        });
        if (s.dots) s.x.forEach((x, i) => { if (s.y[i] !== null) g.append(svg("circle", { cx: at(px(x)), cy: at(py(s.y[i])), r: 3.5, class: "dot" })); });
        g.prepend(svg("path", { d, class: "line" + (s.dashed ? " dashed" : "") }));
      }
      root.append(g);
    }

    // ---- the pointer
    nearest(left) {
      let best = null, distance = Infinity;
      for (const x of this.xs) {
        const d = Math.abs(this.px(x) - left);
        if (d < distance) [best, distance] = [x, d];
      }
      return best;
    }

    point(x) { for (const c of this.spec.group ? groups.get(this.spec.group) : [this]) c.show(x, c === this); }

    rows(x) {
      return this.shown().filter(s => s.kind !== "band").map(s => {
        const i = s.kind === "bars" ? s.x.findIndex((from, n) => x >= from && x < s.to[n]) : s.x.indexOf(x);
        return [s, i < 0 ? null : s.y[i], i];
      }).filter(([, y]) => y !== null && y !== undefined);
    }

    show(x, own) {
      this.x = x;
      this.top.replaceChildren();
      this.plot.querySelector(".tip")?.remove();
      const rows = x === null ? [] : this.rows(x);
      if (!rows.length) return;
      const bars = rows.find(([s]) => s.kind === "bars");
      const middle = bars ? (this.px(x) + this.px(bars[0].to[bars[2]])) / 2 : this.px(x);
      this.top.append(svg("path", { d: `M${at(middle)} 22V${this.height - 38}`, class: "cursor" }));
      const full = formats[this.spec.x.format][0], y = formats[this.spec.y.format][0];
      const tip = html("div", { className: "tip" }, html("b", { textContent: bars ? full(x) + " to " + full(bars[0].to[bars[2]]) : full(x) }));
      for (const [s, v] of rows) {
        if (s.kind !== "bars") this.top.append(svg("circle", { cx: at(middle), cy: at(this.py(v)), r: 4, class: "dot c" + s.color }));
        tip.append(html("div", { className: "c" + s.color }, html("i", {}), html("span", { textContent: s.name }), html("span", { textContent: y(v) })));
      }
      if (own === false) return; // the others of a group have the line alone
      this.plot.append(tip);
      const w = tip.offsetWidth, room = this.plot.clientWidth;
      tip.style.transform = `translate(${at(Math.max(0, Math.min(middle + 12 + w > room ? middle - w - 12 : middle + 12, room - w)))}px,26px)`;
    }

    // ---- what the chart shows, as a table
    table(details) {
      const all = this.spec.series.filter(s => s.kind !== "band"), bars = all.find(s => s.kind === "bars");
      const x = formats[this.spec.x.format][0], y = formats[this.spec.y.format][0];
      const body = html("tbody", {});
      for (const v of this.xs) {
        const row = html("tr", {}, html("th", { scope: "row", textContent: x(v) + (bars ? " to " + x(bars.to[bars.x.indexOf(v)] ?? v) : "") }));
        for (const s of all) {
          const i = s.x.indexOf(v);
          row.append(html("td", { textContent: i < 0 || s.y[i] === null ? "–" : y(s.y[i]) }));
        }
        body.append(row);
      }
      const head = html("tr", {}, ...[this.spec.x.label, ...all.map(s => s.name)].map(textContent => html("th", { scope: "col", textContent })));
      const scroll = html("div", { className: "scroll", tabIndex: 0 }, html("table", {},
        html("caption", { className: "hidden", textContent: this.spec.title }), html("thead", {}, head), body));
      scroll.setAttribute("role", "region");
      scroll.setAttribute("aria-label", this.spec.title + ", as a table");
      details.append(scroll);
    }
  }

  for (const spec of charts) new Chart(document.getElementById(spec.id), spec);
})();
