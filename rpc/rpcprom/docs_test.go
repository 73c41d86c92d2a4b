package rpcprom_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"redrpc/broker"
	"redrpc/broker/brokertest"
	"redrpc/rpc"
	"redrpc/rpc/rpcprom"
)

// The dashboard and the alerts of the docs ask for metrics that there are.
func TestDashboardAndAlerts(t *testing.T) {
	_, rdb := brokertest.Start(t, broker.Options{})
	server, err := rpc.NewServer(rdb, rpc.ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inspector, err := rpc.NewInspector(rdb, "p")
	if err != nil {
		t.Fatal(err)
	}
	var known strings.Builder
	descs := make(chan *prometheus.Desc, 100)
	for _, c := range []prometheus.Collector{rpcprom.Client(), rpcprom.Server(), rpcprom.Dropped(server), rpcprom.Queues(inspector)} {
		c.Describe(descs)
	}
	close(descs)
	for d := range descs {
		known.WriteString(d.String())
	}

	dashboard, err := os.ReadFile("../../docs/operating/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(dashboard) {
		t.Error("the dashboard is no JSON")
	}
	alerts, err := os.ReadFile("../../docs/operating/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(alerts, &rules); err != nil || len(rules.Groups) != 1 || len(rules.Groups[0].Rules) < 5 {
		t.Errorf("alerts: got %v, %v", rules, err)
	}
	names := regexp.MustCompile(`redrpc_[a-z_]+`).FindAllString(string(dashboard)+string(alerts), -1)
	if len(names) < 15 {
		t.Errorf("expected more metrics, got %q", names)
	}
	for _, name := range names {
		if name = strings.TrimSuffix(name, "_bucket"); !strings.Contains(known.String(), `fqName: "`+name+`"`) {
			t.Errorf("nobody exports %s", name)
		}
	}
}
