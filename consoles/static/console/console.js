// What the console's pages do in the browser beyond htmx. Everything works without it, only less comfortably.
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const announce = (text) => { const box = $("#announcer"); if (box) box.textContent = text; };

  // Times are sent in UTC and shown in the viewer's zone; the title keeps UTC.
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  function localTimes(root) {
    all("time[datetime]", root).forEach((element) => {
      const moment = new Date(element.getAttribute("datetime"));
      if (!isNaN(moment)) element.textContent = format.format(moment);
    });
  }

  function ready(root) {
    localTimes(root);
    all("[data-rows-add]", root).forEach((button) => { button.hidden = false; });
    all("[data-spare]", root).forEach(dropSpare);
  }

  // Search palette
  function openPalette() {
    const palette = $("#palette");
    if (palette && !palette.open) { palette.showModal(); $("#palette-text").select(); }
  }
  function moveInPalette(event) {
    const links = all("#palette a");
    if (!links.length) return;
    const here = links.indexOf(document.activeElement);
    const next = event.key === "ArrowDown" ? here + 1 : here - 1;
    event.preventDefault();
    if (next < 0) $("#palette-text").focus(); else links[Math.min(next, links.length - 1)].focus();
  }

  // Without scripts a list of rows always ends with an empty one; with them it is added when asked for.
  function dropSpare(box) {
    const rows = all(".rows-one", box);
    box.removeAttribute("data-spare");
    rows[rows.length - 1].remove();
    $("input[type=hidden]", box).value = String(rows.length - 1);
  }

  function addRow(box) {
    const count = $("input[type=hidden]", box);
    const number = Number(count.value);
    if (number >= Number(box.dataset.most)) return;
    const holder = document.createElement("div");
    holder.innerHTML = $("template", box).innerHTML.replaceAll("__row__", String(number));
    const row = holder.firstElementChild;
    box.insertBefore(row, $("template", box));
    count.value = String(number + 1);
    const first = $("input, select, textarea", row);
    if (first) first.focus();
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-opens=palette], [data-menu-toggle], [data-copy], [data-rows-add]");
    all("details.drop[open]").forEach((drop) => { if (!drop.contains(event.target)) drop.open = false; });
    if (event.target.id === "palette" || event.target.id === "drawer") event.target.close();
    if (!target) return;
    if (target.dataset.opens) { event.preventDefault(); openPalette(); }
    if ("menuToggle" in target.dataset) {
      event.preventDefault();
      const open = $("#menu").classList.toggle("show");
      target.setAttribute("aria-expanded", String(open));
    }
    if ("copy" in target.dataset) {
      navigator.clipboard.writeText(target.dataset.copy).then(() => {
        const before = target.textContent;
        target.textContent = "Copied";
        announce("Copied");
        setTimeout(() => { target.textContent = before; }, 1500);
      });
    }
    if ("rowsAdd" in target.dataset) addRow(target.closest("[data-rows]"));
  });

  const inField = (element) => /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName) || element.isContentEditable;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); openPalette(); return; }
    const palette = $("#palette");
    if (palette && palette.open && /^Arrow(Up|Down)$/.test(event.key)) moveInPalette(event);
    if (event.key === "Escape") all("details.drop[open]").forEach((drop) => { drop.open = false; $("summary", drop).focus(); });
    if (event.key === "/" && !inField(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      const box = $("#q");
      if (box) box.focus(); else openPalette();
    }
  });

  // A form with changes does not vanish by a stray click.
  let changed = false;
  document.addEventListener("input", (event) => { if (event.target.closest("[data-guard]")) changed = true; });
  document.addEventListener("submit", () => { changed = false; });
  window.addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });

  // A request's details open in a drawer; without scripts the link leads to its page.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target && event.detail.target.id === "drawer-content" && !$("#drawer").open) $("#drawer").showModal();
  });
  document.addEventListener("htmx:afterSwap", (event) => ready((event.detail.target && event.detail.target.parentNode) || document));
  document.addEventListener("htmx:historyRestore", () => ready(document));
  ready(document);
  const wrong = $("#form-errors");
  if (wrong) { wrong.focus(); const first = $("[aria-invalid=true]"); if (first) first.focus(); }
})();
