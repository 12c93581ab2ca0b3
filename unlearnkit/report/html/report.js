// The page's own behaviour: a theme that can be chosen, tables that can be sorted, charts that are drawn.
(() => {
  "use strict";

  // ------------------------------------------------------------------------------------------------------------ theme
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  const kept = {
    get() { try { return localStorage.getItem("unlearnkit-theme"); } catch { return null; } },
    set(name) { try { localStorage.setItem("unlearnkit-theme", name); } catch { /* a file may keep nothing */ } },
  };
  const choose = (name) => {
    root.dataset.theme = name;
    button.querySelector("b").textContent = name;
  };
  choose(themes.includes(kept.get()) ? kept.get() : "auto");
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
    choose(next);
    kept.set(next);
  });

  // ----------------------------------------------------------------------------------------------------------- tables
  const collator = new Intl.Collator("en", { numeric: true });
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort);
  };
  const missing = (value) => value === "" || (typeof value === "string" && value.startsWith("–"));
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return collator.compare(String(a), String(b));
  };
  const sort = (head) => {
    const table = head.closest("table");
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, value: key(row, head.cellIndex) }));
    rows.sort((a, b) => missing(a.value) - missing(b.value) || sign * compare(a.value, b.value));
    table.tBodies[0].append(...rows.map(({ row }) => row));
  };
  for (const head of document.querySelectorAll("thead th")) {
    head.querySelector("button").addEventListener("click", () => sort(head));
  }

  // ----------------------------------------------------------------------------------------------------------- charts
  const data = JSON.parse(document.getElementById("data").textContent);
  const options = {
    mode: "vega-lite", renderer: "svg", actions: false, ast: true, config: data.theme, defaultStyle: false,
    tooltip: { theme: "page", disableDefaultStyle: true },
  };
  const draw = async (place) => {
    const spec = { ...data.charts[place.dataset.chart], width: "container" };
    try {
      await vegaEmbed(place, spec, options);
      place.dataset.drawn = "yes";
    } catch (error) {
      place.dataset.drawn = "no";
      place.textContent = `This chart could not be drawn: ${error.message}`;
    }
  };
  for (const place of document.querySelectorAll("[data-chart]")) draw(place);
})();
