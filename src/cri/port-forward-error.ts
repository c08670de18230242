/** Why nobody was reached at each address of `localhost`, in containerd's words: `connection refused` ... */
export function portForwardErrorText(sandboxId: string, port: number, ipv4: string, ipv6: string): string {
  const where = `localhost:${port} inside namespace ${JSON.stringify(sandboxId)}`;
  const dials = `IPv4: dial tcp4 127.0.0.1:${port}: connect: ${ipv4} IPv6 dial tcp6 [::1]:${port}: connect: ${ipv6} `;
  return `failed to connect to ${where}, ${dials}`;
}
