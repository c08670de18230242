'use strict';
// Is well for five requests, and sick for ever after. Has no handler for SIGTERM: as PID 1 it does not end by one.
const http = require('http');
const os = require('os');

const hostname = os.hostname();
const healthyCount = 5;
let requestCount = 0;
const server = http.createServer((request, response) => {
  console.log(`Received request from ${request.socket.remoteAddress}`);
  requestCount += 1;
  const isWell = requestCount <= healthyCount;
  response.writeHead(isWell ? 200 : 500);
  response.end(isWell ? `You've hit ${hostname}\n` : "I'm not well. Please restart me!\n");
});
console.log('Kubia server starting...');
server.listen(8080);
