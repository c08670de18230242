'use strict';
// Answers every request with the name of the host (in Kubernetes: the pod) that it reached.
const http = require('http');
const os = require('os');

const hostname = os.hostname();
const server = http.createServer((request, response) => {
  console.log(`Received request from ${request.socket.remoteAddress}`);
  response.writeHead(200);
  response.end(`You've hit ${hostname}\n`);
});
console.log('Kubia server starting...');
server.listen(8080);
