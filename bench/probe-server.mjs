// Answers every connection's first bytes with one fixed response, as cheaply as Node.js can. Prints its port.
import net from 'node:net';

const answer = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
);
const server = net.createServer((socket) => {
  socket.on('error', () => undefined); // a client may leave at any moment
  socket.once('data', () => socket.end(answer));
});
server.listen(0, '127.0.0.1', 4_096, () => console.log(server.address().port));
process.on('disconnect', () => process.exit(0));
