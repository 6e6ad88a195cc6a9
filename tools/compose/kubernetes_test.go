package compose

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	strict "sigs.k8s.io/yaml"
)

// scaledObject is what we use of KEDA's. https://keda.sh/docs/2.17/reference/scaledobject-spec/
type scaledObject struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount int32 `json:"minReplicaCount"`
		MaxReplicaCount int32 `json:"maxReplicaCount"`
		PollingInterval int32 `json:"pollingInterval"`
		CooldownPeriod  int32 `json:"cooldownPeriod"`
		Fallback        struct {
			FailureThreshold int32 `json:"failureThreshold"`
			Replicas         int32 `json:"replicas"`
		} `json:"fallback"`
		Triggers []struct {
			Type     string            `json:"type"`
			Metadata map[string]string `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// cluster is what the manifests hold, read by Kubernetes's own types: a key
// that they do not know is an error.
type cluster struct {
	deployments map[string]apps.Deployment
	services    map[string]core.Service
	scaled      []scaledObject
	budgets     []policy.PodDisruptionBudget
	accounts    []string
}

func manifests(t *testing.T) cluster {
	t.Helper()
	c := cluster{deployments: map[string]apps.Deployment{}, services: map[string]core.Service{}}
	var kustomization struct{ Resources []string }
	read(t, "deploy/kubernetes/kustomization.yaml", &kustomization)
	for _, name := range kustomization.Resources {
		text, err := os.ReadFile(filepath.Join(projectRoot(t), "deploy/kubernetes", name))
		if err != nil {
			t.Fatal(err)
		}
		for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
			c.add(t, name, doc)
		}
	}
	return c
}

func (c *cluster) add(t *testing.T, file string, doc []byte) {
	t.Helper()
	var kind struct{ Kind string }
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	into := func(v any) {
		if err := strict.UnmarshalStrict(doc, v); err != nil {
			t.Fatalf("%s, %s: %v", file, kind.Kind, err)
		}
	}
	switch kind.Kind {
	case "Deployment":
		var d apps.Deployment
		into(&d)
		c.deployments[d.Name] = d
	case "Service":
		var s core.Service
		into(&s)
		c.services[s.Name] = s
	case "ScaledObject":
		var s scaledObject
		into(&s)
		c.scaled = append(c.scaled, s)
	case "PodDisruptionBudget":
		var b policy.PodDisruptionBudget
		into(&b)
		c.budgets = append(c.budgets, b)
	case "ServiceAccount":
		var a core.ServiceAccount
		into(&a)
		c.accounts = append(c.accounts, a.Name)
	case "Namespace":
		into(&core.Namespace{})
	default:
		t.Errorf("%s: what is a %q?", file, kind.Kind)
	}
}

func TestDeploymentsRunTheProgramWithFewRights(t *testing.T) {
	c := manifests(t)
	for _, name := range []string{"scheduler", "share", "worker-backfill", "worker-delta", "worker-export"} {
		d, ok := c.deployments[name]
		if !ok {
			t.Errorf("no deployment %s", name)
			continue
		}
		pod := d.Spec.Template
		for key, value := range d.Spec.Selector.MatchLabels {
			if pod.Labels[key] != value {
				t.Errorf("%s selects %s=%s, which its pods are not", name, key, value)
			}
		}
		if len(pod.Spec.Containers) != 1 || !slices.Contains(c.accounts, pod.Spec.ServiceAccountName) {
			t.Fatalf("%s has %d containers and the account %q", name, len(pod.Spec.Containers), pod.Spec.ServiceAccountName)
		}
		if s := pod.Spec.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser != 65532 || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault || *pod.Spec.TerminationGracePeriodSeconds != 40 {
			t.Errorf("%s runs with too many rights, or is given too little time to end", name)
		}
		checkContainer(t, name, pod)
	}
}

func checkContainer(t *testing.T, name string, pod core.PodTemplateSpec) {
	t.Helper()
	box := pod.Spec.Containers[0]
	if s := box.SecurityContext; *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Contains(s.Capabilities.Drop, "ALL") {
		t.Errorf("%s: its container has too many rights", name)
	}
	if box.ReadinessProbe.HTTPGet.Path != "/healthz" || box.LivenessProbe.TCPSocket == nil || box.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s has no probes or no limit", name)
	}
	if box.Args[0] != strings.SplitN(name, "-", 2)[0] {
		t.Errorf("%s runs %q", name, box.Args)
	}
	metrics := pod.Annotations["prometheus.io/port"]
	for _, p := range box.Ports { // each is listened on
		if address := fmt.Sprintf(":%d", p.ContainerPort); !slices.Contains(box.Args, address) {
			t.Errorf("%s has the port %s and listens not there: %q", name, address, box.Args)
		}
	}
	if pod.Annotations["prometheus.io/scrape"] != "true" || !slices.Contains(box.Args, ":"+metrics) || box.Args[0] == "share" && metrics != "9100" {
		t.Errorf("%s is asked for its metrics at port %q", name, metrics)
	}
	for _, m := range box.VolumeMounts {
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v core.Volume) bool { return v.Name == m.Name }) {
			t.Errorf("%s mounts %s, which is no volume", name, m.Name)
		}
	}
}

func TestServicesLeadToPods(t *testing.T) {
	c := manifests(t)
	for _, name := range []string{"scheduler", "share"} {
		s, ok := c.services[name]
		labels := c.deployments[name].Spec.Template.Labels
		if !ok || s.Spec.Selector["app.kubernetes.io/component"] != labels["app.kubernetes.io/component"] || s.Spec.Ports[0].TargetPort.StrVal != "http" {
			t.Errorf("the service %s leads nowhere: %+v", name, s.Spec)
		}
		if *c.deployments[name].Spec.Replicas < 2 || !slices.ContainsFunc(c.budgets, func(b policy.PodDisruptionBudget) bool { return b.Name == name }) {
			t.Errorf("%s is down while its only pod is replaced", name)
		}
	}
}

// Workers follow the backlog of the very queues that they serve.
func TestWorkersScaleByTheirOwnBacklog(t *testing.T) {
	c := manifests(t)
	for name, d := range c.deployments {
		if !strings.HasPrefix(name, "worker-") {
			continue
		}
		i := slices.IndexFunc(c.scaled, func(s scaledObject) bool { return s.Spec.ScaleTargetRef.Name == name })
		if i < 0 || d.Spec.Replicas != nil {
			t.Errorf("%s is not scaled, or has a number of replicas beside it", name)
			continue
		}
		s := c.scaled[i]
		trigger := s.Spec.Triggers[0]
		if s.APIVersion != "keda.sh/v1alpha1" || trigger.Type != "prometheus" || s.Spec.MinReplicaCount < 1 || s.Spec.MaxReplicaCount <= s.Spec.MinReplicaCount {
			t.Errorf("%s: %+v", name, s.Spec)
		}
		query := trigger.Metadata["query"]
		checkExpressions(t, []string{query})
		args := d.Spec.Template.Spec.Containers[0].Args
		queues, total := []string{}, 0
		for part := range strings.SplitSeq(args[slices.Index(args, "--queues")+1], ",") {
			queue, size, _ := strings.Cut(part, "=")
			queues = append(queues, queue)
			n, err := strconv.Atoi(size)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		for _, metric := range []string{"waybill_backlog_deliveries", "waybill_in_flight_deliveries"} {
			if want := metric + `{queue=~"` + strings.Join(queues, "|") + `"}`; !strings.Contains(query, want) {
				t.Errorf("%s asks %s, which lacks %s", name, query, want)
			}
		}
		if want := strconv.Itoa(2 * total); trigger.Metadata["threshold"] != want {
			t.Errorf("%s has a worker for each %s deliveries, want %s: twice its handlers", name, trigger.Metadata["threshold"], want)
		}
	}
}

// Each queue that a worker serves by default is served by one deployment, and a
// backfill shares neither processes nor replicas with what is live.
func TestEveryQueueHasItsWorkersAndTheBackfillItsOwn(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(projectRoot(t), "cmd/waybill/serve.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`&queues, "queues", "([^"]+)"`).FindSubmatch(source)
	if all == nil {
		t.Fatal("the worker has no flag --queues")
	}
	served := map[string][]string{}
	for name, d := range manifests(t).deployments {
		if strings.HasPrefix(name, "worker-") {
			args := d.Spec.Template.Spec.Containers[0].Args
			for _, queue := range queuesOf(args[slices.Index(args, "--queues")+1]) {
				served[queue] = append(served[queue], name)
			}
		}
	}
	for _, queue := range queuesOf(string(all[1])) {
		if len(served[queue]) != 1 {
			t.Errorf("queue %s is served by %v", queue, served[queue])
		}
		if queue != "backfill" && slices.Equal(served[queue], served["backfill"]) {
			t.Errorf("%v serves %s and the backfill", served[queue], queue)
		}
	}
}

// queuesOf are the names in export=8,snowflake=4.
func queuesOf(flag string) (names []string) {
	for part := range strings.SplitSeq(flag, ",") {
		name, _, _ := strings.Cut(part, "=")
		names = append(names, name)
	}
	return names
}

// The configuration that is mounted is there, and so is every secret's file that it names below the mount.
func TestTheConfigurationNamesFilesOfTheSecret(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(projectRoot(t), "deploy/kubernetes/waybill.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	mount := manifests(t).deployments["scheduler"].Spec.Template.Spec.Containers[0].VolumeMounts
	files := regexp.MustCompile(`file:(/\S+)`).FindAllStringSubmatch(string(text), -1)
	if len(files) == 0 {
		t.Error("the configuration names no file; this test looks for the wrong words")
	}
	for _, f := range files {
		if !slices.ContainsFunc(mount, func(m core.VolumeMount) bool { return strings.HasPrefix(f[1], m.MountPath+"/") }) {
			t.Errorf("%s is mounted nowhere", f[1])
		}
	}
}
