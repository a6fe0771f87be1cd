{{/* What the webhook's pods are found by, and nothing else: a Deployment cannot change it. */}}
{{- define "ringside-injector.selector" -}}
app.kubernetes.io/name: ringside-injector
{{- end }}

{{/* Labels of every object. */}}
{{- define "ringside-injector.labels" -}}
{{ include "ringside-injector.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Metadata of an object in the release's namespace. Names are fixed: a cluster has one injector. */}}
{{- define "ringside-injector.metadata" -}}
name: ringside-injector
namespace: {{ .Release.Namespace }}
labels:
  {{- include "ringside-injector.labels" . | nindent 2 }}
{{- end }}

{{/* The same of what makes cert-manager's authority. */}}
{{- define "ringside-injector.authorityMetadata" -}}
name: ringside-injector-ca
namespace: {{ .Release.Namespace }}
labels:
  {{- include "ringside-injector.labels" . | nindent 2 }}
{{- end }}

{{/* Metadata of an object that is in no namespace. */}}
{{- define "ringside-injector.clusterMetadata" -}}
name: ringside-injector
labels:
  {{- include "ringside-injector.labels" . | nindent 2 }}
{{- end }}

{{- define "ringside-injector.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The cluster's version as 1.N: patches and vendors' marks decide nothing. */}}
{{- define "ringside-injector.kubernetes" -}}
{{ .Values.kubernetes | default .Capabilities.KubeVersion.Version | regexFind "1\\.[0-9]+" }}
{{- end }}
