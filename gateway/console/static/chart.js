// Draws each chart from the table beside it, so that the two cannot differ.
const colours = { released: "#2f9e7e", no_result: "#8a97a6", denied: "#c98a1b", fault: "#c94a4a" };

function draw(place) {
  const table = document.getElementById(place.dataset.chart);
  if (!window.echarts || !table) { place.hidden = true; return; }
  const heads = [...table.querySelectorAll("thead th[data-series]")];
  const rows = [...table.querySelectorAll("tbody tr")];
  const ink = getComputedStyle(document.body).color;
  const chart = window.echarts.init(place, null, { renderer: "svg" });
  chart.setOption({
    animation: false,
    textStyle: { fontFamily: "inherit" },
    color: heads.map((head) => colours[head.dataset.series]),
    grid: { left: 44, right: 8, top: 10, bottom: 28 },
    xAxis: { type: "category", data: rows.map((row) => row.cells[0].textContent.slice(-5)), axisLabel: { color: ink } },
    yAxis: { type: "value", minInterval: 1, axisLabel: { color: ink }, splitLine: { lineStyle: { opacity: 0.25 } } },
    series: heads.map((head, at) => ({
      name: head.textContent, type: "bar", stack: "all", barMaxWidth: 22,
      data: rows.map((row) => Number(row.cells[at + 1].textContent)),
    })),
  });
  new ResizeObserver(() => chart.resize()).observe(place);
}

document.querySelectorAll("[data-chart]").forEach(draw);
