{{- define "syncline.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "syncline.name" -}}
{{ .Release.Name }}-{{ .role }}
{{- end }}

{{- define "syncline.selector" -}}
app.kubernetes.io/name: syncline
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "syncline.labels" -}}
{{ include "syncline.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* What every process is told. */ -}}
{{- define "syncline.settings" -}}
SYNCLINE_SERVER_ROLES: {{ .role }}
SYNCLINE_SERVER_LISTEN: 0.0.0.0:8484
SYNCLINE_SERVER_METRICS_LISTEN: 0.0.0.0:9484
SYNCLINE_SERVER_PUBLIC_URL: {{ .Values.publicUrl }}
SYNCLINE_SERVER_LOG_FORMAT: json
SYNCLINE_SERVER_LOG_LEVEL: {{ .Values.logLevel }}
SYNCLINE_SERVER_NOTICE_S: {{ .Values.noticeSeconds }}
SYNCLINE_SERVER_DRAIN_S: {{ .Values.drainSeconds }}
SYNCLINE_SERVER_TRUSTED_PROXIES: {{ .Values.trustedProxies }}
{{- if .Values.redis }}
SYNCLINE_SERVER_REDIS: {{ .Values.redis }}
{{- end }}
{{- if eq .role "gateway" }}
SYNCLINE_SERVER_PEERS_METADATA: {{ .Release.Name }}-metadata-peers:8485
SYNCLINE_SERVER_PEERS_BLOCKS: {{ .Release.Name }}-blocks-peers:8485
SYNCLINE_SERVER_PEERS_NOTIFY: {{ .Release.Name }}-notify-peers:8485
SYNCLINE_SERVER_CONTENT_URL: {{ .Values.contentUrl | default .Values.publicUrl }}
SYNCLINE_SERVER_CLUSTER_SECRET_FILE: /keys/cluster.key
{{- else }}
SYNCLINE_SERVER_CLUSTER_LISTEN: 0.0.0.0:8485
SYNCLINE_SERVER_KEYS: /keys
SYNCLINE_SERVER_DATABASE: {{ .Values.database.url }}
SYNCLINE_SERVER_OBJECTS_KIND: s3
SYNCLINE_SERVER_OBJECTS_BUCKET: {{ .Values.objects.bucket }}
SYNCLINE_SERVER_OBJECTS_ENDPOINT: {{ .Values.objects.endpoint }}
{{- if .Values.objects.publicEndpoint }}
SYNCLINE_SERVER_OBJECTS_PUBLIC_ENDPOINT: {{ .Values.objects.publicEndpoint }}
{{- end }}
SYNCLINE_SERVER_OBJECTS_REGION: {{ .Values.objects.region }}
SYNCLINE_SERVER_OBJECTS_ADDRESSING: {{ .Values.objects.addressing }}
SYNCLINE_SERVER_BUS_KIND: {{ .Values.bus.kind }}
SYNCLINE_SERVER_BUS_SERVERS: {{ .Values.bus.servers }}
SYNCLINE_SERVER_BUS_REPLICAS: {{ .Values.bus.replicas }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value }}
{{- end }}
{{- end }}
