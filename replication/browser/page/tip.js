// One small box beside what is pointed at or focused; what is focused is also spoken.
"use strict";

/** @typedef {{ show: (target: Element, content: HTMLElement[], spoken: boolean) => void, hide: () => void, shown: () => boolean }} Tip */

const LAYERED = "popover" in HTMLElement.prototype;

/** The tip of a view, kept inside its root. It stands in the top layer where the browser lets it, so that no box can cut it off.
 *  @param {HTMLElement} root @returns {Tip} */
function makeTip(root) {
  const box = make("div", { class: "card-tip", popover: LAYERED ? "manual" : null, hidden: !LAYERED, role: "tooltip" });
  const live = make("div", { class: "card-unseen", role: "status" });
  let target = /** @type {Element | null} */ (null);
  root.append(box, live);

  const place = () => {
    if (!target) return;
    if (!target.isConnected) return hide();
    const about = target.getClientRects()[0];
    if (!about) return hide();
    const width = box.offsetWidth, height = box.offsetHeight, edge = 6;
    const left = Math.max(edge, Math.min(about.left + about.width / 2 - width / 2, document.documentElement.clientWidth - width - edge));
    const above = about.top - height - edge;
    box.style.left = `${Math.round(left)}px`;
    box.style.top = `${Math.round(above >= edge ? above : about.bottom + edge)}px`;
  };
  const hide = () => {
    if (!target) return;
    target = null;
    document.removeEventListener("scroll", place, true);
    if (LAYERED) box.hidePopover(); else box.hidden = true;
  };
  return {
    show: (wanted, content, spoken) => {
      box.replaceChildren(...content);
      if (!target) {
        document.addEventListener("scroll", place, { capture: true, passive: true });
        if (LAYERED) box.showPopover(); else box.hidden = false;
      }
      target = wanted;
      place();
      if (spoken) live.textContent = box.innerText;
    },
    hide,
    shown: () => target !== null,
  };
}
