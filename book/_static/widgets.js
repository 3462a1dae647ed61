/* After require.js and before embed-amd.js: widgets load their modules from the book, never from a CDN. */
(function () {
  var me = document.currentScript, base = me.src.replace(/[^\/]*$/, "") + "vendor/widgets/";
  window.__jupyter_widgets_assets_path__ = base + "fonts/";
  me.setAttribute("data-jupyter-widgets-cdn", base);  // what html-manager does not know, it looks for here
  requirejs.config({ paths: {
    anywidget: base + "anywidget",
    "@jupyter-widgets/html-manager": base + "@jupyter-widgets/html-manager",
  } });
  addEventListener("load", function () {  // html-manager 1.0 speaks to MathJax 2; the book has 3
    var mathjax = window.MathJax;
    if (mathjax && !mathjax.Hub) mathjax.Hub = { Queue: function (call) {
      if (call && call[0] === "Typeset" && mathjax.typesetPromise)
        mathjax.startup.promise.then(function () { mathjax.typesetPromise([call[2]]); });
    } };
  });
})();
