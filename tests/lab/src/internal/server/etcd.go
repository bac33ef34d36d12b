package server

import (
	"context"
	"net/http"

	core "k8s.io/api/core/v1"
)

func (s *Server) joinServer(string) error                               { return nil }
func (s *Server) usesEtcd() bool                                        { return false }
func (s *Server) nodeGone(context.Context, *core.Node)                  {}
func (s *Server) startDatastore(ctx context.Context) (datastore, error) { return s.startSQL(ctx) }
func (s *Server) serveBootstrap(w http.ResponseWriter, _ *http.Request) {
	fail(w, http.StatusBadRequest, "etcd disabled")
}
