import type { Transport } from "./link.ts";

/** A link by WebSocket. */
export const webSocketLink: Transport = ({ base, flag, since }, handler) => {
  const url = new URL("ws", base);
  url.protocol = url.protocol.replace("http", "ws");
  for (const id of since) url.searchParams.append("since", id);
  const socket = new WebSocket(url, flag === undefined ? ["belfry.v1"] : ["belfry.v1", flag]);
  let isOver = false;
  socket.onmessage = ({ data }) => {
    if (!isOver) handler.frame(String(data));
  };
  socket.onclose = ({ code, reason }) => {
    if (isOver) return;
    isOver = true;
    handler.closed(code, reason);
  };
  return {
    send: (frame) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
    },
    close: () => {
      isOver = true;
      socket.close();
    },
  };
};
