"""The Daraja double of PyPI's `daraja-mock`, told on stdin what its payers do: a result code a line. Prints each request."""

import json
import sys
import threading

from daraja_mock import DarajaMock

mock = DarajaMock()


@mock.app.after_request
def tell(response):
    print(json.dumps(mock.request_log()[-1] | {"status": response.status_code}), flush=True)
    return response


def listen():
    for line in sys.stdin:
        mock.set_stk_result(int(line))
        print(json.dumps({"payers": int(line)}), flush=True)


threading.Thread(target=listen, daemon=True).start()
mock.app.run(host="127.0.0.1", port=int(sys.argv[1]))
