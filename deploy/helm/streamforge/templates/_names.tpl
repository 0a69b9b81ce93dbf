{{/* What every object's name begins with: the release, and the chart where the release does not say it. */}}
{{- define "streamforge.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "streamforge.queueManager" -}}
{{ include "streamforge.name" . }}-queue-manager
{{- end -}}

{{- define "streamforge.jobs" -}}
{{ include "streamforge.name" . }}-jobs
{{- end -}}

{{/* By which all pods of the release are found, also those of jobs, which queue-manager labels. */}}
{{- define "streamforge.everyPod" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: streamforge
{{- end -}}

{{- define "streamforge.queueManagerPods" -}}
app.kubernetes.io/name: queue-manager
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "streamforge.jobPods" -}}
{{ include "streamforge.everyPod" . }}
app.kubernetes.io/component: job
{{- end -}}

{{- define "streamforge.testPod" -}}
{{ include "streamforge.everyPod" . }}
app.kubernetes.io/component: test
{{- end -}}

{{/* Labels of an object; its name is the service's. */}}
{{- define "streamforge.labels" -}}
{{ include "streamforge.everyPod" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* (root, service): the image of a service. */}}
{{- define "streamforge.image" -}}
{{ .root.Values.image.repository }}/{{ .service }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{/* What keeps a container to the Pod Security Standard "restricted", beside what its pod says. */}}
{{- define "streamforge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "streamforge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The Secret with the database's password; none where `credentials` has all there is to know. */}}
{{- define "streamforge.arangodbSecret" -}}
{{ .Values.arangodb.secret | default (ternary "" "streamforge-credentials" (not (empty .Values.credentials))) }}
{{- end -}}

{{/* (root, name, target): as which user the broker knows queue-manager or a target: username, secret, entry. */}}
{{- define "streamforge.kafkaUser" -}}
{{- $values := .root.Values -}}
{{- $strimzi := $values.strimzi | default dict -}}
{{- $user := pick $values.kafka "username" "secret" "entry" -}}
{{- if $strimzi.cluster -}}
{{- $name := printf "%s-%s" (include "streamforge.name" .root) .name -}}
{{- $user = dict "username" $name "secret" $name "entry" "password" -}}
{{- end -}}
{{- toJson (merge (dict) (.target.kafka | default dict) $user (dict "entry" "password")) -}}
{{- end -}}

{{/* (root, name, target): by variable, where its value is in a Secret. */}}
{{- define "streamforge.secrets" -}}
{{- $values := .root.Values -}}
{{- $secrets := dict -}}
{{- $user := include "streamforge.kafkaUser" . | fromJson -}}
{{- if $user.secret -}}
{{- $_ := set $secrets "KAFKA_SASL_PASSWORD" (pick $user "secret" "entry") -}}
{{- else if and (hasPrefix "SASL" $values.kafka.securityProtocol) (empty $values.credentials) -}}
{{- fail "kafka.secret is required with SASL, or credentials that hold the user and the password" -}}
{{- end -}}
{{- $arangodb := include "streamforge.arangodbSecret" .root -}}
{{- if and $arangodb (has "arangodb" .target.egress) -}}
{{- $_ := set $secrets "ARANGO_PASSWORD" (dict "secret" $arangodb "entry" ($values.arangodb.entry | default "ARANGO_PASSWORD")) -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end -}}

{{/* KUBERNETES_JOB_TARGETS: `jobs.targets` in the words of queue-manager, in one order whatever the values' is. */}}
{{- define "streamforge.targets" -}}
{{- $targets := dict -}}
{{- range $name, $target := .Values.jobs.targets -}}
{{- $image := $target.image | default (include "streamforge.image" (dict "root" $ "service" $name)) -}}
{{- $who := dict "root" $ "name" $name "target" $target -}}
{{- $environment := $target.environment | default dict -}}
{{- with (include "streamforge.kafkaUser" $who | fromJson).username -}}
{{- $environment = merge (dict "KAFKA_SASL_USERNAME" .) $environment -}}
{{- end -}}
{{- $fields := dict
    "image" $image
    "command" $target.command
    "environment" $environment
    "secrets" (include "streamforge.secrets" $who | fromJson)
    "requests" $target.requests
    "limits" $target.limits
    "node_selector" $target.nodeSelector
    "tolerations" $target.tolerations
    "priority_class" $target.priorityClassName
    "active_deadline_seconds" $target.activeDeadlineSeconds -}}
{{- $plan := dict -}}
{{- range $field, $value := $fields -}}
{{- if $value }}{{ $_ := set $plan $field $value }}{{ end -}}
{{- end -}}
{{- $_ := set $targets $name $plan -}}
{{- end -}}
{{- toJson $targets -}}
{{- end -}}

{{/* (to, ports): one `egress` rule of a NetworkPolicy; without `to` it goes anywhere. */}}
{{- define "streamforge.egress" -}}
- ports:
    {{- range .ports }}
    - {port: {{ . }}}
    {{- end }}
  {{- with .to }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
