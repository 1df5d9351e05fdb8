/** A question before something that cannot be undone. */

export class Question {
  #dialog = document.createElement("dialog");
  #title = document.createElement("h2");
  #text = document.createElement("p");
  #yes = document.createElement("button");
  #no = document.createElement("button");

  constructor() {
    const form = document.createElement("form");
    const row = document.createElement("div");
    form.method = "dialog";
    row.className = "answers";
    this.#title.id = "question-title";
    this.#text.id = "question-text";
    this.#dialog.setAttribute("aria-labelledby", this.#title.id);
    this.#dialog.setAttribute("aria-describedby", this.#text.id);
    this.#yes.value = "yes";
    this.#yes.className = "danger";
    this.#no.value = "no";
    this.#no.textContent = "Leave it";
    row.append(this.#no, this.#yes);
    form.append(this.#title, this.#text, row);
    this.#dialog.append(form);
    document.body.append(this.#dialog);
  }

  /** Resolves to whether the answer is yes; Escape says no. The focus returns to where it was. */
  ask({ title, text, label }) {
    this.#title.textContent = title;
    this.#text.textContent = text;
    this.#yes.textContent = label;
    this.#dialog.returnValue = "no";
    this.#dialog.showModal();
    this.#no.focus();
    return new Promise((resolve) => {
      const answer = () => resolve(this.#dialog.returnValue === "yes");
      this.#dialog.addEventListener("close", answer, { once: true });
    });
  }
}
