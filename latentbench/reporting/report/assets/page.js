"use strict";
(() => {
  const FEW = 8; // rows of a table that needs no filter

  // Tables: every column sorts, missing numbers always last; a text keeps the rows that have all its words.
  const collator = new Intl.Collator("en", { numeric: true });

  function compared(column, direction) {
    const value = (row) => {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
    };
    return (one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a !== null && b !== null) return direction * (a - b);
      if (a !== null || b !== null) return a === null ? 1 : -1;
      const [s, t] = [one.cells[column].textContent, other.cells[column].textContent];
      if (!s !== !t) return s ? -1 : 1;
      return direction * collator.compare(s, t);
    };
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
        body.append(...[...body.rows].sort(compared(column, direction)));
      });
    });
  }

  function filterable(block) {
    const rows = [...block.querySelector("tbody").rows];
    if (rows.length < FEW) return;
    const [line, input, output] = [".filter", "input", "output"].map((part) => block.querySelector(part));
    const texts = new Map(rows.map((row) => [row, [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase()]));
    line.hidden = false;
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => texts.get(row).includes(word));
        shown += !row.hidden;
      }
      output.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    });
  }

  for (const block of document.querySelectorAll("div.table")) {
    sortable(block.querySelector("table"));
    filterable(block);
  }

  // Charts: Vega's interpreter evaluates expressions, so that no code is made of texts.
  const OPTIONS = { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true } };

  function controlOf(control, changed, id) {
    const line = document.createElement("p");
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.id = id;
    label.htmlFor = id;
    for (const option of control.options) select.add(new Option(option, option, false, option === control.chosen));
    select.addEventListener("change", changed);
    label.append(control.label);
    line.append(label, select);
    return { ...control, line, select };
  }

  function pointsOf(data, controls) {
    const wanted = controls.filter((control) => control.field);
    const kept = (record) => wanted.every((control) => control.select.value === "all" || record(control.field) === control.select.value);
    if (data.series) {
      return data.series
        .filter((curve) => kept((field) => curve[field]))
        .flatMap(({ x, y, ...fields }) => x.map((at, i) => ({ ...fields, x: at, y: y[i] })));
    }
    const fields = Object.keys(data.columns);
    const axes = controls.filter((control) => control.axis);
    const size = data.columns[fields[0]].length;
    const points = [];
    for (let i = 0; i < size; i++) {
      if (!kept((field) => data.columns[field][i])) continue;
      const point = Object.fromEntries(data.fields.map((field) => [field, data.columns[field][i]]));
      for (const axis of axes) point[axis.axis] = data.columns[axis.select.value][i];
      if (point.x !== null && point.y !== null) points.push(point);
    }
    return points;
  }

  function titled(spec, controls) {
    for (const control of controls.filter((each) => each.axis)) {
      const name = control.select.value;
      spec.encoding[control.axis].title = name;
      for (const shown of spec.encoding.tooltip) if (shown.field === control.axis) shown.title = name;
    }
    return spec;
  }

  function chart(figure) {
    const { spec, data, controls } = JSON.parse(figure.querySelector("script").textContent);
    const plot = figure.querySelector(".plot");
    let drawn = Promise.resolve();
    const made = controls.map((control, i) => controlOf(control, () => draw(), `${figure.id}-control-${i}`));
    figure.querySelector(".controls").append(...made.map((control) => control.line));
    function draw() {
      const next = titled(structuredClone(spec), made);
      next.data = { values: pointsOf(data, made) };
      next.config.legend.columns = Math.max(1, Math.floor(plot.clientWidth / 170));
      drawn = drawn.then((before) => {
        if (before) before.finalize();
        plot.textContent = next.data.values.length ? "" : "No result has what is chosen.";
        return next.data.values.length ? vegaEmbed(plot, next, OPTIONS) : null;
      });
      drawn.then(() => plot.setAttribute("data-drawn", String(next.data.values.length)));
    }
    draw();
  }

  document.querySelectorAll("figure.chart").forEach(chart);

  // Print: what is folded is shown, unless it is long.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      if (details.querySelectorAll("tr").length > 100) continue;
      details.open = true;
      details.dataset.closed = "";
    }
  });
  addEventListener("afterprint", () => {
    for (const details of document.querySelectorAll("details[data-closed]")) {
      details.open = false;
      delete details.dataset.closed;
    }
  });
})();
