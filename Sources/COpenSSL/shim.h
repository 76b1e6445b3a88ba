#pragma once
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

// Macros that Swift cannot import.
static inline long copenssl_dtls_set_link_mtu(SSL *ssl, long mtu) { return DTLS_set_link_mtu(ssl, mtu); }
static inline int copenssl_dtls_get_timeout(SSL *ssl, struct timeval *left) { return DTLSv1_get_timeout(ssl, left); }
static inline int copenssl_dtls_handle_timeout(SSL *ssl) { return DTLSv1_handle_timeout(ssl); }
static inline long copenssl_bio_mem_data(BIO *bio, char **data) { return BIO_get_mem_data(bio, data); }
static inline int copenssl_bio_reset(BIO *bio) { return BIO_reset(bio); }
static inline int copenssl_ctx_set_min_dtls12(SSL_CTX *ctx) {
  return SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION);
}
static inline long copenssl_ctx_session_cache_off(SSL_CTX *ctx) {
  return SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}
static inline long copenssl_ctx_release_buffers(SSL_CTX *ctx) {
  return SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
}
static inline uint64_t copenssl_ctx_set_dtls_options(SSL_CTX *ctx) {
  return SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
}
static inline long copenssl_ctx_set_groups(SSL_CTX *ctx, const char *names) {
  return SSL_CTX_set1_groups_list(ctx, names);
}
static inline EVP_PKEY *copenssl_make_p256_key(void) { return EVP_EC_gen("P-256"); }
static inline int copenssl_name_add_cn(X509_NAME *name, const char *value) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)value, -1, -1, 0);
}
// OSSL_PARAM keeps pointers to its key and value; Swift would hand it temporary copies of both.
static inline int copenssl_hmac_sha1_init(EVP_MAC_CTX *ctx, const unsigned char *key, size_t length) {
  OSSL_PARAM params[2] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA1", 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_init(ctx, key, length, params);
}
static inline int copenssl_aead_set_tag(EVP_CIPHER_CTX *ctx, int length, void *tag) {
  return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, length, tag);
}
static inline int copenssl_aead_get_tag(EVP_CIPHER_CTX *ctx, int length, void *tag) {
  return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, length, tag);
}
