"""nbval does not know the Output widget of `interact`: keep what it captures away from the cell's own outputs."""

try:
    from nbval.plugin import IPyNbFile
except ImportError:
    IPyNbFile = None

CAPTURED = ("stream", "display_data", "execute_result", "clear_output")

if IPyNbFile is not None:
    plain = IPyNbFile.get_kernel_message

    def get_kernel_message(self, timeout=None, stream="iopub"):
        while True:
            message = plain(self, timeout, stream)
            if message["msg_type"] == "comm_msg":
                state = message["content"]["data"].get("state", {})
                if "msg_id" in state:
                    self._captured = bool(state["msg_id"])
            elif getattr(self, "_captured", False) and message["msg_type"] in CAPTURED:
                continue  # an error is let through, and fails the cell
            return message

    IPyNbFile.get_kernel_message = get_kernel_message
