// Names that a search found are added to the list beside it. Without this they are typed there.
(function () {
  "use strict";
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pick]");
    if (!button) return;
    const list = button.closest("[data-pick-many]").querySelector("textarea");
    const names = list.value.split(/[\s,]+/).filter(Boolean);
    if (!names.includes(button.dataset.pick)) {
      names.push(button.dataset.pick);
      list.value = names.join("\n") + "\n";
      list.dispatchEvent(new Event("input", { bubbles: true }));
    }
    button.disabled = true;
    const box = document.querySelector("#announcer");
    if (box) box.textContent = `${button.dataset.pick} added`;
  });
  // Enter looks for names; it does not save the form.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("[data-pick-find]")) event.preventDefault();
  });
})();
