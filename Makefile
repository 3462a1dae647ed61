# Each target is one call. tools/house finds a Python, keeps .venv, and says in one line what to do where it cannot.
# Variables: PYTHON=python3.12, BROWSER=no, PORT=8899 (lab), ONLY=stage (test), CH=chapter (run), UNPINNED=1.

export PYTHON BROWSER PORT ONLY CH UNPINNED
TARGETS = lab test quick book slides student run clean

.PHONY: $(TARGETS)
$(TARGETS):
	@sh tools/house $@
