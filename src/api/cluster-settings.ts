/** The config map by which the control plane tells nodes what it expects of them. */
export const clusterSettingsRef = { namespace: 'kube-system', name: 'livelet-cluster' } as const;
