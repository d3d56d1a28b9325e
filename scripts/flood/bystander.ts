/**
 * Somebody else's port, `bystander.ts <host>`: takes connections and closes those that came first when
 * there are many, and nothing else. Strangers who hammer it show what they cost the machine alone.
 */
import { type AddressInfo, createServer, type Socket } from "node:net";
import process from "node:process";

const MOST = 512;
const guests = new Set<Socket>();

const server = createServer((socket) => {
  guests.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => guests.delete(socket));
  socket.resume();
  if (guests.size <= MOST) return;
  const [first] = guests;
  guests.delete(first!);
  first!.destroy();
});
server.listen(0, process.argv[2], () => {
  console.log(`bystander on ${(server.address() as AddressInfo).port}`);
});
