#pragma once
#include <nice/agent.h>
#include <glib.h>
#include <gio/gio.h>

// Variadic functions and macros of GObject, which Swift cannot import.
static inline void cnice_set_bool(gpointer object, const char *name, gboolean value) {
  g_object_set(object, name, value, NULL);
}

static inline void cnice_set_uint(gpointer object, const char *name, guint value) {
  g_object_set(object, name, value, NULL);
}

static inline void cnice_set_string(gpointer object, const char *name, const char *value) {
  g_object_set(object, name, value, NULL);
}

static inline gulong cnice_connect(gpointer object, const char *signal, GCallback callback, gpointer data) {
  return g_signal_connect(object, signal, callback, data);
}
