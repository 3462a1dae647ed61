"""Remove sphinx-thebe, which Jupyter Book 1 always loads and whose page script names a CDN."""


def drop_thebe(app, config):
    for name, handlers in app.events.listeners.items():
        app.events.listeners[name] = [h for h in handlers if not h.handler.__module__.startswith("sphinx_thebe")]
    app.registry.css_files[:] = [c for c in app.registry.css_files if "thebe" not in c[0]]


def setup(app):
    app.connect("config-inited", drop_thebe, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
