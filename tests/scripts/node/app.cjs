// An echo app by the Node library `ws` on the Unix socket named on the command line.
// It does what the Python one in support.py does: /forbidden is refused, /close?code=N is closed with that code.
const http = require("node:http");
const { WebSocketServer } = require("ws");

const server = http.createServer();
const sockets = new WebSocketServer({
  noServer: true,
  perMessageDeflate: { threshold: 0 },
  handleProtocols: (offered) => (offered.has("chat.v1") ? "chat.v1" : false),
});

server.on("upgrade", (request, socket, head) => {
  const url = new URL(request.url, "http://app");
  if (url.pathname === "/forbidden") {
    socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\nConnection: close\r\n\r\nnot for you\n");
    return;
  }
  sockets.handleUpgrade(request, socket, head, (client) => {
    client.on("message", (message, isBinary) => client.send(message, { binary: isBinary }));
    client.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
    if (url.pathname === "/close") client.close(Number(url.searchParams.get("code")), "as asked");
  });
});

server.listen(process.argv[2], () => console.log("listening"));
