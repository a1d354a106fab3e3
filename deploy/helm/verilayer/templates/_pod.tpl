{{- /* Parts that every pod of the service shares. Context: dict "root" $ "component" NAME. */}}

{{- /* Celery queues that a component serves; a test compares them with app.jobs.queue. */ -}}
{{- define "verilayer.queues" -}}
{{- get (dict "worker" "intake,images,layers" "big-layer-worker" "layers-large" "sweeper" "maintenance") . -}}
{{- end -}}

{{- define "verilayer.labels" -}}
app.kubernetes.io/name: verilayer
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "verilayer.image" -}}
{{- $tag := .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- if hasPrefix "sha256:" $tag }}{{ .name }}@{{ $tag }}{{ else }}{{ .name }}:{{ $tag }}{{ end }}
{{- end }}

{{- define "verilayer.pod-head" -}}
automountServiceAccountToken: false
serviceAccountName: verilayer
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "verilayer.container-security" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{- define "verilayer.environment" -}}
- name: VERILAYER_CONFIG_FILE
  value: /etc/verilayer/config/verilayer.yaml
- name: VERILAYER_SECRETS_DIR
  value: /etc/verilayer/redis
- name: VERILAYER_LOG_LEVEL
  value: {{ .root.Values.logLevel }}
{{- with .root.Values.otlpEndpoint }}
- name: VERILAYER_OTLP_ENDPOINT
  value: {{ . }}
{{- end }}
{{- end }}

{{- define "verilayer.mounts" -}}
- name: config
  mountPath: /etc/verilayer/config
  readOnly: true
- name: redis
  mountPath: /etc/verilayer/redis
  readOnly: true
- name: secrets
  mountPath: /etc/verilayer/secrets
  readOnly: true
- name: run
  mountPath: /run/verilayer
- name: state
  mountPath: /var/lib/verilayer
- name: tmp
  mountPath: /tmp
{{- end }}

{{- define "verilayer.volumes" -}}
- name: config
  configMap:
    name: verilayer
- name: redis
  secret:
    secretName: {{ .root.Values.secrets.redis }}
    defaultMode: 0440
- name: secrets
  secret:
    secretName: {{ .root.Values.secrets.service }}
    defaultMode: 0440
- name: run
  emptyDir:
    medium: Memory
    sizeLimit: 64Mi
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- end }}

{{- define "verilayer.worker-deployment" -}}
{{- $labels := include "verilayer.labels" (dict "component" .component) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: verilayer-{{ .component }}
  labels:
    {{- $labels | nindent 4 }}
spec:
  {{- if not .scaled }}
  replicas: {{ .replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  {{- if .single }}
  strategy:
    type: Recreate
  {{- end }}
  selector:
    matchLabels:
      {{- $labels | nindent 6 }}
  template:
    metadata:
      labels:
        {{- $labels | nindent 8 }}
      annotations:
        checksum/config: {{ toYaml .root.Values.config | sha256sum }}
    spec:
      {{- include "verilayer.pod-head" . | nindent 6 }}
      terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
      containers:
        - name: worker
          image: {{ include "verilayer.image" (dict "root" .root "name" .root.Values.image.worker) }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args: {{ toJson .args }}
          env:
            {{- include "verilayer.environment" . | nindent 12 }}
            - name: VERILAYER_WORKER_CONCURRENCY
              value: {{ .concurrency | quote }}
            {{- with .spool }}
            - name: VERILAYER_SPOOL_MAX_BYTES
              value: {{ include "verilayer.bytes" . | quote }}
            {{- end }}
            {{- if not .single }}
            - name: VERILAYER_EVIDENCE_KEY_FILE
              value: /etc/verilayer/evidence/evidence.key
            {{- end }}
          ports:
            - name: metrics
              containerPort: 9090
          # A worker that no longer consumes stops touching its heartbeat file.
          startupProbe:
            exec:
              command: [python, -m, app.observability.probe, fresh, /run/verilayer/heartbeat]
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 24
          livenessProbe:
            exec:
              command: [python, -m, app.observability.probe, fresh, /run/verilayer/heartbeat]
            periodSeconds: 30
            timeoutSeconds: 5
            failureThreshold: 3
          {{- include "verilayer.container-security" . | nindent 10 }}
          resources:
            {{- toYaml .resources | nindent 12 }}
          volumeMounts:
            {{- include "verilayer.mounts" . | nindent 12 }}
            {{- if not .single }}
            - name: evidence
              mountPath: /etc/verilayer/evidence
              readOnly: true
            {{- end }}
            {{- if .root.Values.secrets.signing }}
            - name: signing
              mountPath: /etc/verilayer/signing
              readOnly: true
            {{- end }}
      volumes:
        {{- include "verilayer.volumes" . | nindent 8 }}
        - name: state
          emptyDir:
            sizeLimit: {{ .spool | default "64Mi" }}
        {{- if not .single }}
        - name: evidence
          secret:
            secretName: {{ .root.Values.secrets.evidence }}
            defaultMode: 0440
        {{- end }}
        {{- with .root.Values.secrets.signing }}
        - name: signing
          secret:
            secretName: {{ . }}
            defaultMode: 0440
        {{- end }}
{{- end }}

{{- /* 90 % of a quantity such as 20Gi, in bytes: the spool stays below its volume's limit. */}}
{{- define "verilayer.bytes" -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[KMGT]i$" . -}}
{{- div (mul $number (get $units $unit | default 1 | int64) 9) 10 -}}
{{- end }}
