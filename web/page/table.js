// A table whose rows are told apart by a key, so that a look a second later moves cells, not rows.

import { element, say } from "./dom.js";

// columns: { title, text: is it a text?, value(row) -> string, sort: what orders by it, if it can }
export class Table {
  #columns;
  #rows = new Map();
  #body = element("tbody");
  #heads = [];

  constructor(columns, { caption, onSort }) {
    this.#columns = columns;
    const head = element("tr");
    for (const column of columns) {
      const cell = element("th", { scope: "col", class: column.text ? "text" : "" });
      if (column.sort && onSort) {
        cell.append(element("button", { type: "button", onclick: () => onSort(column.sort) }, column.title));
      } else {
        cell.append(column.title);
      }
      this.#heads.push(cell);
      head.append(cell);
    }
    this.node = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      element("table", {}, element("thead", {}, head), this.#body));
  }

  sorted(sort, descending) {
    this.#columns.forEach((column, i) => {
      if (column.sort === sort) this.#heads[i].setAttribute("aria-sort", descending ? "descending" : "ascending");
      else this.#heads[i].removeAttribute("aria-sort");
    });
  }

  show(rows, keyOf) {
    const seen = new Set();
    let at = this.#body.firstChild;
    for (const row of rows) {
      const key = keyOf(row);
      seen.add(key);
      const line = this.#rows.get(key) ?? this.#make(key);
      this.#columns.forEach((column, i) => this.#fill(line.cells[i], column, row));
      if (line !== at) this.#body.insertBefore(line, at);
      at = line.nextSibling;
    }
    for (const [key, line] of this.#rows) {
      if (seen.has(key)) continue;
      line.remove();
      this.#rows.delete(key);
    }
  }

  #make(key) {
    const line = element("tr");
    for (const column of this.#columns) {
      line.append(element("td", { class: column.text ? "text" : "" }));
    }
    this.#rows.set(key, line);
    return line;
  }

  #fill(cell, column, row) {
    const words = column.value(row);
    if (!column.press) {
      say(cell, words);
      if (column.text) cell.title = words;
      return;
    }
    const button = cell.firstChild ?? cell.appendChild(element("button", { type: "button" }));
    say(button, words);
    button.onclick = () => column.press(row);
  }
}
