// What the console's pages do in the browser beyond htmx. Everything works without it, only less comfortably.
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const announce = (text) => { const box = $("#announcer"); if (box) box.textContent = text; };

  // Times are sent in UTC and shown in the viewer's zone; the title keeps UTC.
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const precise = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  function localTimes(root) {
    all("time[datetime]", root).forEach((element) => {
      const moment = new Date(element.getAttribute("datetime"));
      if (!isNaN(moment)) element.textContent = ("seconds" in element.dataset ? precise : format).format(moment);
    });
  }

  function ready(root) {
    localTimes(root);
    all("[data-rows-add]", root).forEach((button) => { button.hidden = false; });
    all("[data-spare]", root).forEach(dropSpare);
    all("[data-tick-all], [data-copy-address]", root).forEach((one) => { one.hidden = false; });
    countTicked();
  }

  // Rows that are ticked, for what can be done to many at once
  function countTicked() {
    const form = $("[data-bulk]");
    if (!form) return;
    const boxes = all("[data-tick]");
    const ticked = boxes.filter((box) => box.checked).length;
    form.classList.toggle("bulk-none", !ticked);
    all("button", form).forEach((button) => { button.disabled = !ticked; });
    $("[data-bulk-count]", form).textContent = ticked ? `${ticked} selected` : "None selected";
    const every = $("[data-tick-all]");
    if (every) { every.checked = ticked === boxes.length; every.indeterminate = ticked > 0 && ticked < boxes.length; }
  }
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-tick-all]")) all("[data-tick]").forEach((box) => { box.checked = event.target.checked; });
    if (event.target.matches("[data-tick], [data-tick-all]")) countTicked();
  });

  // Search palette
  function openPalette() {
    const palette = $("#palette");
    if (!palette || palette.open) return;
    all("dialog[open]").forEach((dialog) => dialog.close());
    palette.showModal();
    $("#palette-text").select();
    htmx.trigger("#palette-text", "opened");
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

  function copy(button, text) {
    const words = $("[data-copy-words]", button) || button;
    navigator.clipboard.writeText(text).then(() => {
      const before = words.textContent;
      words.textContent = "Copied";
      announce("Copied");
      setTimeout(() => { words.textContent = before; }, 1500);
    });
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-opens=palette], [data-menu-toggle], [data-copy], [data-copy-address], [data-rows-add]");
    all("details.drop[open]").forEach((drop) => { if (!drop.contains(event.target)) drop.open = false; });
    if (event.target.tagName === "DIALOG") event.target.close();
    if (!target) return;
    if (target.dataset.opens) { event.preventDefault(); openPalette(); }
    if ("menuToggle" in target.dataset) {
      event.preventDefault();
      const open = $("#menu").classList.toggle("show");
      target.setAttribute("aria-expanded", String(open));
    }
    if ("copy" in target.dataset) copy(target, target.dataset.copy);
    if ("copyAddress" in target.dataset) copy(target, new URL(target.dataset.copyAddress || location.href, location.href).href);
    if ("rowsAdd" in target.dataset) addRow(target.closest("[data-rows]"));
  });

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); openPalette(); return; }
    const palette = $("#palette");
    if (palette && palette.open && /^Arrow(Up|Down)$/.test(event.key)) moveInPalette(event);
    if (event.key === "Escape") all("details.drop[open]").forEach((drop) => { drop.open = false; $("summary", drop).focus(); });
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
