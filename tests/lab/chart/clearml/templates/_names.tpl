{{/* Base of all names: the release's name when it contains the chart's, else both. */}}
{{- define "fixture.fullname" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $chart .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $chart | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of every resource of the chart itself. */}}
{{- define "fixture.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/name: {{ include "fixture.fullname" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Labels that a component's pods carry and its Service selects; takes (dict "root" $ "part" NAME). */}}
{{- define "fixture.selector" -}}
app.kubernetes.io/name: {{ include "fixture.fullname" .root }}
app.kubernetes.io/instance: {{ include "fixture.fullname" .root }}-{{ .part }}
{{- end -}}

{{/* A ClearML component's image; its own registry goes before the global one. */}}
{{- define "fixture.image" -}}
{{- $image := (index .root.Values .part).image -}}
{{- with coalesce $image.registry .root.Values.global.imageRegistry -}}{{ . }}/{{- end -}}
{{ $image.repository }}:{{ $image.tag }}
{{- end -}}

{{/* A database's image; here the global registry goes first, as in the Bitnami charts. */}}
{{- define "fixture.databaseImage" -}}
{{- $image := (index .root.Values .part).image -}}
{{- with coalesce .root.Values.global.imageRegistry $image.registry -}}{{ . }}/{{- end -}}
{{ $image.repository }}:{{ $image.tag }}
{{- end -}}

{{- define "fixture.confSecret" -}}
{{ default "clearml-conf" .Values.clearml.existingSecret }}
{{- end -}}

{{- define "fixture.redisHost" -}}
{{- if .Values.redis.enabled }}{{ tpl .Values.redis.master.name . }}{{ else }}{{ .Values.externalServices.redisHost }}{{ end -}}
{{- end -}}

{{- define "fixture.redisPort" -}}
{{- if .Values.redis.enabled }}{{ .Values.redis.master.port }}{{ else }}{{ .Values.externalServices.redisPort }}{{ end -}}
{{- end -}}

{{- define "fixture.elasticService" -}}
{{ .Values.elasticsearch.clusterName }}-master
{{- end -}}

{{- define "fixture.elasticHosts" -}}
{{- if .Values.elasticsearch.enabled -}}
{{- list (dict "host" (include "fixture.elasticService" .) "port" (.Values.elasticsearch.httpPort | int) "scheme" .Values.elasticsearch.httpScheme) | toJson -}}
{{- else -}}
{{- .Values.externalServices.elasticsearchConnectionString -}}
{{- end -}}
{{- end -}}

{{/* The apiserver as the other components reach it: by the Service's port, right or wrong. */}}
{{- define "fixture.apiUrl" -}}
http://{{ include "fixture.fullname" . }}-apiserver:{{ .Values.apiserver.service.port }}
{{- end -}}

{{/* Metadata, accounts, placement and security that the three components have in common. */}}
{{- define "fixture.deploymentHead" -}}
{{- $part := index .root.Values .part -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "fixture.fullname" .root }}-{{ .part }}
  labels:
    {{- include "fixture.labels" .root | nindent 4 }}
  {{- with $part.deploymentAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  replicas: {{ $part.replicaCount }}
  selector:
    matchLabels:
      {{- include "fixture.selector" . | nindent 6 }}
  template:
    metadata:
      {{- with $part.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      labels:
        {{- include "fixture.selector" . | nindent 8 }}
    spec:
      serviceAccountName: {{ $part.serviceAccountName }}-{{ .part }}
      {{- if .root.Values.imageCredentials.enabled }}
      imagePullSecrets:
        - name: {{ default "clearml-registry-key" .root.Values.imageCredentials.existingSecret }}
      {{- end }}
      securityContext:
        {{- toYaml $part.podSecurityContext | nindent 8 }}
      {{- with $part.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $part.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $part.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}

{{/* An init container that runs a shell loop; takes root, part and script. */}}
{{- define "fixture.initContainer" -}}
- name: init-{{ .part }}
  image: {{ include "fixture.image" . | quote }}
  command: [/bin/sh, -c, {{ .script | quote }}]
  securityContext:
    {{- toYaml (index .root.Values .part).containerSecurityContext | nindent 4 }}
  resources:
    {{- toYaml (index .root.Values .part).initContainers.resources | nindent 4 }}
{{- end -}}

{{/* Waits for ever until the apiserver answers behind its Service. */}}
{{- define "fixture.waitForApi" -}}
until [ "$(curl -s -o /dev/null -w '%{http_code}' {{ include "fixture.apiUrl" . }}/debug.ping)" = 200 ]; do echo "no apiserver at {{ include "fixture.apiUrl" . }} yet"; sleep 2; done
{{- end -}}

{{/* Where a database may run and who pulls its image, as in the Bitnami charts; takes (dict "root" $ "part" VALUES). */}}
{{- define "fixture.placement" -}}
{{- with .part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}
