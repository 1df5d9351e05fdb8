/**
 * Rows that are refreshed in place: one element for each thing as long as it is there, so focus,
 * selection and scroll position stay where they are.
 */
export class KeyedRows {
  #body;
  #template;
  #getKey;
  #fill;
  #rows = new Map();

  /**
   * @param {Element} body what the rows are put into
   * @param {HTMLTemplateElement} template one row
   * @param {(thing: object) => string} getKey tells things apart
   * @param {(part: (name: string) => HTMLElement, thing: object) => void} fill writes a row
   */
  constructor(body, template, { getKey, fill }) {
    this.#body = body;
    this.#template = template;
    this.#getKey = getKey;
    this.#fill = fill;
  }

  /** Shows exactly these things, in this order. */
  show(things) {
    this.#removeAllBut(new Set(things.map(this.#getKey)));
    things.forEach((thing, position) => {
      const row = this.#rows.get(this.#getKey(thing)) ?? this.#make(thing);
      this.#place(row, position);
      this.#fill((name) => row.querySelector(`[data-part="${name}"]`), thing);
    });
  }

  /** All before this position are in place; what is moved loses the focus, so others make way. */
  #place(row, position) {
    const { children } = this.#body;
    if (row.contains(document.activeElement)) {
      while (children[position] !== row) {
        this.#body.append(children[position]);
      }
    } else if (children[position] !== row) {
      this.#body.insertBefore(row, children[position] ?? null);
    }
  }

  #removeAllBut(keys) {
    for (const [key, row] of this.#rows) {
      if (!keys.has(key)) {
        row.remove();
        this.#rows.delete(key);
      }
    }
  }

  #make(thing) {
    const row = this.#template.content.firstElementChild.cloneNode(true);
    this.#rows.set(this.#getKey(thing), row);
    return row;
  }
}
