"""nginx with the nchan module (Debian: libnginx-mod-nchan), one worker.

nginx must be on the PATH; its module is searched beside it (../lib/nginx/modules) and below /usr.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import server

CONFIGURATION = """
load_module {module};
daemon off; master_process off; worker_processes 1; worker_rlimit_nofile {files};
pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections {connections}; }}
http {{
  access_log off; tcp_nodelay on; nchan_max_reserved_memory 128M;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    keepalive_requests 1000000000;
    location /ws/ {{
      nchan_subscriber websocket; nchan_channel_id book; nchan_subscriber_first_message newest;
    }}
    location /publish {{ nchan_publisher; nchan_channel_id book; nchan_message_buffer_length 10; }}
  }}
}}
"""


def missing() -> str:
    """Return why it can't run; "" if it can."""
    if shutil.which("nginx") is None:
        return "nginx is not installed"
    return "" if _module() else "nginx's nchan module is not installed"


def _module() -> Path | None:
    binary = Path(shutil.which("nginx") or "").resolve()
    for folder in (binary.parent.parent, Path("/usr")):
        found = folder / "lib/nginx/modules/ngx_nchan_module.so"
        if found.is_file():
            return found
    return None


def start() -> server.Program:
    """Start it with a configuration of its own."""
    port = server.free_port()
    folder = Path(tempfile.mkdtemp(prefix="nchan-"))
    files = server.machine.open_files()
    (folder / "nginx.conf").write_text(
        CONFIGURATION.format(
            module=_module(), folder=folder, port=port, files=files, connections=files - 100
        )
    )
    program = server.Program(["nginx", "-p", folder, "-c", folder / "nginx.conf"], port)
    program.on_exit(lambda: shutil.rmtree(folder, ignore_errors=True))
    return program
