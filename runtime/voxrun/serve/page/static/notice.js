// One message at a time at the top of the page, with at most one thing to do about it.

import { made } from "./view.js";

export class Notice {
  // `home` has the focus when a notice goes that has it.
  constructor(element, home) {
    this.element = element;
    this.home = home;
  }

  // `remedy`: {label, act} or nothing.
  show(message, remedy = null) {
    const notice = made("div", "notice");
    notice.append(made("p", "", message));
    if (remedy) {
      notice.append(
        button(remedy.label, "remedy", () => {
          this.hide();
          remedy.act();
        }),
      );
    }
    notice.append(button("Dismiss", "dismiss", () => this.hide()));
    this.element.replaceChildren(notice);
  }

  focus() {
    this.element.querySelector("button").focus();
  }

  hide() {
    if (this.element.contains(document.activeElement)) this.home.focus();
    this.element.replaceChildren();
  }
}

function button(label, className, act) {
  const element = made("button", className, label);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}
