/* Repairs what axe-core finds in the theme: labels that contradict the visible text, landmarks and controls without names. */
addEventListener("load", function () {
  document.querySelectorAll(".search-button-field, summary[aria-label]").forEach(function (e) { e.removeAttribute("aria-label"); });
  document.querySelectorAll(".citation-list[role]").forEach(function (e) { e.removeAttribute("role"); });
  var logo = document.querySelector(".sidebar-primary-item .navbar-brand");
  if (logo) { logo.parentElement.setAttribute("role", "navigation"); logo.parentElement.setAttribute("aria-label", "Home"); }
  function scrollable() { // so that keys can scroll it
    document.querySelectorAll("article .pst-scrollable-table-container, article table, article pre").forEach(function (e) {
      if (e.scrollWidth > e.clientWidth) e.tabIndex = 0;
    });
  }
  scrollable(); addEventListener("resize", scrollable);
  function name() {
    document.querySelectorAll(".noUi-handle:not([aria-label])").forEach(function (h) {
      var w = h.closest(".jupyter-widgets"), l = w && w.querySelector(".widget-label");
      h.setAttribute("aria-label", (l && l.textContent.trim()) || "slider");
    });
  }
  name(); new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
});
