// Draws the charts of a page with uPlot, in the colours of the theme, and again when their part is replaced.
(function () {
  "use strict";
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--tg-${name}`).trim();
  const drawn = new Map();

  // In a stack each line is drawn on top of those before it; what is shown are still its own values.
  function stacked(lines) {
    const sums = [];
    return lines.map((line) => line.values.map((value, place) => {
      sums[place] = (sums[place] || 0) + (value || 0);
      return sums[place];
    }));
  }

  function options(data, width) {
    const stack = data.look === "stack";
    const axis = { stroke: colour("axis"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
    const series = data.lines.map((line) => ({
      label: line.label,
      stroke: colour(line.colour),
      fill: stack ? colour(line.colour) + "55" : undefined,
      width: 2,
      points: { show: data.times.length < 2 },
    }));
    const bands = stack ? data.lines.slice(1).map((_, place) => ({ series: [place + 2, place + 1] })) : [];
    return {
      width, height: 230, legend: { show: false }, cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (chart, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis }, { ...axis, size: 60, values: (chart, ticks) => ticks.map((tick) => `${tick} ${data.unit === "ms" ? "ms" : ""}`) }],
      series: [{}, ...series], bands,
    };
  }

  function draw(box) {
    const source = document.getElementById(box.dataset.chart);
    if (!source || typeof uPlot === "undefined") return;
    const data = JSON.parse(source.textContent);
    const values = data.look === "stack" ? stacked(data.lines) : data.lines.map((line) => line.values);
    if (drawn.has(box)) drawn.get(box).destroy();
    drawn.set(box, new uPlot(options(data, box.clientWidth - 32), [data.times, ...values], box));
  }

  function drawAll() {
    drawn.forEach((chart, box) => { if (!box.isConnected) { chart.destroy(); drawn.delete(box); } });
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  let waiting = 0;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 150); });
  document.addEventListener("htmx:afterSettle", (event) => { if (event.detail.target && event.detail.target.id === "traffic") drawAll(); });
  drawAll();
})();
