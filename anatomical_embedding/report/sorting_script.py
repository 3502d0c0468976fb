"""The only script of the page: a click on a column's name sorts the table by it."""

SORTING_SCRIPT = """
const valueOf = (row, column) => {
  const {dataset, textContent} = row.cells[column];
  return dataset.value === undefined ? textContent : Number(dataset.value.replace("inf", "Infinity"));
};
const compare = (a, b) => {
  if (typeof a === "string") return a.localeCompare(b, "en", {numeric: true});
  return a === b ? 0 : a - b;
};
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headers.forEach((header, column) => header.firstElementChild.addEventListener("click", () => {
    const isUp = header.getAttribute("aria-sort") !== "ascending";
    const rows = [...body.rows];
    rows.sort((a, b) => (isUp ? 1 : -1) * compare(valueOf(a, column), valueOf(b, column)));
    body.append(...rows);
    headers.forEach(other => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", isUp ? "ascending" : "descending");
  }));
}
"""
