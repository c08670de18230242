export interface KubeconfigOptions {
  /** `https://127.0.0.1:6443`. */
  readonly server: string;
  readonly clusterName: string;
  readonly userName: string;
  readonly caPem: string;
  readonly clientCertPem: string;
  readonly clientKeyPem: string;
}

/**
 * A kubeconfig with everything in it, so that one file is all that a client needs. Whoever has it is that user: write
 * it with mode 0600. The context is called USER@CLUSTER, as kubeadm does.
 */
export function renderKubeconfig(options: KubeconfigOptions): string {
  const context = quote(`${options.userName}@${options.clusterName}`);
  return `apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data: ${base64(options.caPem)}
    server: ${quote(options.server)}
  name: ${quote(options.clusterName)}
contexts:
- context:
    cluster: ${quote(options.clusterName)}
    user: ${quote(options.userName)}
  name: ${context}
current-context: ${context}
users:
- name: ${quote(options.userName)}
  user:
    client-certificate-data: ${base64(options.clientCertPem)}
    client-key-data: ${base64(options.clientKeyPem)}
`;
}

/** A JSON string is a YAML string. */
function quote(text: string): string {
  return JSON.stringify(text);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
