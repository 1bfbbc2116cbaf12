/* base/openssl.h -- OpenSSL, which is loaded when it is needed first.
 *
 * Mapped and set up at every start it would cost each server 1.8 MB and 0.8 ms, TLS or not. So we
 * are not linked to it: whoever is configured to need it calls pp_openssl_load, and from then on
 * the code reads as any other that uses OpenSSL, since each function's name stands for an entry of
 * one table.
 *
 * Another function is one more line in each of the two lists below. The linker or the compiler
 * notices if one is forgotten. */
#ifndef PP_BASE_OPENSSL_H
#define PP_BASE_OPENSSL_H

#include "base/buf.h"
#include "base/err.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* clang-format off */
#define PP_OPENSSL_FUNCTIONS(X)                 \
    X(ASN1_STRING_get0_data)                    \
    X(ASN1_STRING_length)                       \
    X(ASN1_STRING_to_UTF8)                      \
    X(ASN1_STRING_type)                         \
    X(ASN1_TIME_to_tm)                          \
    X(AUTHORITY_INFO_ACCESS_free)               \
    X(BIO_clear_flags)                          \
    X(BIO_ctrl)                                 \
    X(BIO_free)                                 \
    X(BIO_get_data)                             \
    X(BIO_meth_free)                            \
    X(BIO_meth_new)                             \
    X(BIO_meth_set_create)                      \
    X(BIO_meth_set_ctrl)                        \
    X(BIO_meth_set_read)                        \
    X(BIO_meth_set_write)                       \
    X(BIO_new)                                  \
    X(BIO_s_mem)                                \
    X(BIO_set_data)                             \
    X(BIO_set_flags)                            \
    X(BIO_set_init)                             \
    X(CRYPTO_free)                              \
    X(CRYPTO_memdup)                            \
    X(d2i_OCSP_RESPONSE)                        \
    X(d2i_X509)                                 \
    X(ERR_clear_error)                          \
    X(ERR_peek_error)                           \
    X(ERR_peek_last_error)                      \
    X(ERR_reason_error_string)                  \
    X(EVP_aes_128_gcm)                          \
    X(EVP_aes_256_cbc)                          \
    X(EVP_aes_256_gcm)                          \
    X(EVP_chacha20_poly1305)                    \
    X(EVP_CIPHER_CTX_ctrl)                      \
    X(EVP_CIPHER_CTX_free)                      \
    X(EVP_CIPHER_CTX_new)                       \
    X(EVP_CIPHER_get_iv_length)                 \
    X(EVP_CipherFinal_ex)                       \
    X(EVP_CipherInit_ex)                        \
    X(EVP_CipherUpdate)                         \
    X(EVP_DecodeBlock)                          \
    X(EVP_DecryptInit_ex)                       \
    X(EVP_Digest)                               \
    X(EVP_DigestFinal_ex)                       \
    X(EVP_DigestInit_ex)                        \
    X(EVP_DigestUpdate)                         \
    X(EVP_EncodeBlock)                          \
    X(EVP_EncryptInit_ex)                       \
    X(EVP_KDF_CTX_free)                         \
    X(EVP_KDF_CTX_new)                          \
    X(EVP_KDF_derive)                           \
    X(EVP_KDF_fetch)                            \
    X(EVP_KDF_free)                             \
    X(EVP_MAC_CTX_set_params)                   \
    X(EVP_MD_CTX_free)                          \
    X(EVP_MD_CTX_new)                           \
    X(EVP_sha1)                                 \
    X(EVP_sha256)                               \
    X(GENERAL_NAMES_free)                       \
    X(i2d_OCSP_REQUEST)                         \
    X(i2d_X509)                                 \
    X(i2d_X509_PUBKEY)                          \
    X(OBJ_obj2nid)                              \
    X(OBJ_obj2txt)                              \
    X(OCSP_basic_verify)                        \
    X(OCSP_BASICRESP_free)                      \
    X(OCSP_cert_to_id)                          \
    X(OCSP_CERTID_dup)                          \
    X(OCSP_CERTID_free)                         \
    X(OCSP_check_validity)                      \
    X(OCSP_request_add0_id)                     \
    X(OCSP_REQUEST_free)                        \
    X(OCSP_REQUEST_new)                         \
    X(OCSP_resp_find_status)                    \
    X(OCSP_RESPONSE_free)                       \
    X(OCSP_response_get1_basic)                 \
    X(OCSP_response_status)                     \
    X(OPENSSL_hexchar2int)                      \
    X(OPENSSL_sk_free)                          \
    X(OPENSSL_sk_new_null)                      \
    X(OPENSSL_sk_num)                           \
    X(OPENSSL_sk_pop_free)                      \
    X(OPENSSL_sk_push)                          \
    X(OPENSSL_sk_value)                         \
    X(OpenSSL_version)                          \
    X(SSL_CIPHER_get_protocol_id)               \
    X(SSL_CIPHER_standard_name)                 \
    X(SSL_client_hello_get0_ext)                \
    X(SSL_ctrl)                                 \
    X(SSL_CTX_callback_ctrl)                    \
    X(SSL_CTX_check_private_key)                \
    X(SSL_CTX_ctrl)                             \
    X(SSL_CTX_free)                             \
    X(SSL_CTX_get0_certificate)                 \
    X(SSL_CTX_get_cert_store)                   \
    X(SSL_CTX_get_ex_data)                      \
    X(SSL_CTX_load_verify_file)                 \
    X(SSL_CTX_new)                              \
    X(SSL_CTX_set_cipher_list)                  \
    X(SSL_CTX_set_ciphersuites)                 \
    X(SSL_CTX_set_client_CA_list)               \
    X(SSL_CTX_set_client_hello_cb)              \
    X(SSL_CTX_set_default_passwd_cb)            \
    X(SSL_CTX_set_default_verify_paths)         \
    X(SSL_CTX_set_ex_data)                      \
    X(SSL_CTX_set_keylog_callback)              \
    X(SSL_CTX_set_num_tickets)                  \
    X(SSL_CTX_set_options)                      \
    X(SSL_CTX_set_session_id_context)           \
    X(SSL_CTX_set_timeout)                      \
    X(SSL_CTX_set_tlsext_ticket_key_evp_cb)     \
    X(SSL_CTX_set_verify)                       \
    X(SSL_CTX_use_certificate_chain_file)       \
    X(SSL_CTX_use_PrivateKey_file)              \
    X(SSL_do_handshake)                         \
    X(SSL_free)                                 \
    X(SSL_get0_param)                           \
    X(SSL_get0_peer_certificate)                \
    X(SSL_get0_verified_chain)                  \
    X(SSL_get_current_cipher)                   \
    X(SSL_get_error)                            \
    X(SSL_get_peer_cert_chain)                  \
    X(SSL_get_rbio)                             \
    X(SSL_get_servername)                       \
    X(SSL_get_session)                          \
    X(SSL_get_SSL_CTX)                          \
    X(SSL_get_verify_result)                    \
    X(SSL_has_pending)                          \
    X(SSL_load_client_CA_file)                  \
    X(SSL_new)                                  \
    X(SSL_pending)                              \
    X(SSL_read_ex)                              \
    X(SSL_SESSION_get_max_fragment_length)      \
    X(SSL_session_reused)                       \
    X(SSL_set1_host)                            \
    X(SSL_set_accept_state)                     \
    X(SSL_set_bio)                              \
    X(SSL_set_connect_state)                    \
    X(SSL_set_num_tickets)                      \
    X(SSL_set_SSL_CTX)                          \
    X(SSL_shutdown)                             \
    X(SSL_version)                              \
    X(SSL_write_ex)                             \
    X(TLS_client_method)                        \
    X(TLS_server_method)                        \
    X(X509_chain_up_ref)                        \
    X(X509_check_host)                          \
    X(X509_check_issued)                        \
    X(X509_cmp_current_time)                    \
    X(X509_digest)                              \
    X(X509_email_free)                          \
    X(X509_free)                                \
    X(X509_get0_notAfter)                       \
    X(X509_get1_ocsp)                           \
    X(X509_get_ext_by_NID)                      \
    X(X509_get_ext_d2i)                         \
    X(X509_get_issuer_name)                     \
    X(X509_get_subject_name)                    \
    X(X509_get_X509_PUBKEY)                     \
    X(X509_NAME_entry_count)                    \
    X(X509_NAME_ENTRY_get_data)                 \
    X(X509_NAME_ENTRY_get_object)               \
    X(X509_NAME_ENTRY_set)                      \
    X(X509_NAME_get_entry)                      \
    X(X509_NAME_print_ex)                       \
    X(X509_OBJECT_get0_X509)                    \
    X(X509_STORE_add_cert)                      \
    X(X509_STORE_free)                          \
    X(X509_STORE_get0_objects)                  \
    X(X509_STORE_new)                           \
    X(X509_STORE_set_flags)                     \
    X(X509_up_ref)                              \
    X(X509_verify_cert_error_string)            \
    X(X509_VERIFY_PARAM_set1_ip_asc)
/* clang-format on */

struct pp_openssl {
#define PP_OPENSSL_FIELD(name) __typeof__(name) *name;
    PP_OPENSSL_FUNCTIONS(PP_OPENSSL_FIELD)
#undef PP_OPENSSL_FIELD
};

/* One for the process, as the library is: filled by the first pp_openssl_load, then only read. */
extern struct pp_openssl pp_openssl;

/**
 * Load the library, unless that has been done. It stays.
 *
 * error may be NULL.
 *
 * Thread: any.
 * Errors: PIPIT_EIO it is not to be had; error says why.
 */
pipit_err pp_openssl_load(pp_buf *error);

#define ASN1_STRING_get0_data pp_openssl.ASN1_STRING_get0_data
#define ASN1_STRING_length pp_openssl.ASN1_STRING_length
#define ASN1_STRING_to_UTF8 pp_openssl.ASN1_STRING_to_UTF8
#define ASN1_STRING_type pp_openssl.ASN1_STRING_type
#define ASN1_TIME_to_tm pp_openssl.ASN1_TIME_to_tm
#define AUTHORITY_INFO_ACCESS_free pp_openssl.AUTHORITY_INFO_ACCESS_free
#define BIO_clear_flags pp_openssl.BIO_clear_flags
#define BIO_ctrl pp_openssl.BIO_ctrl
#define BIO_free pp_openssl.BIO_free
#define BIO_get_data pp_openssl.BIO_get_data
#define BIO_meth_free pp_openssl.BIO_meth_free
#define BIO_meth_new pp_openssl.BIO_meth_new
#define BIO_meth_set_create pp_openssl.BIO_meth_set_create
#define BIO_meth_set_ctrl pp_openssl.BIO_meth_set_ctrl
#define BIO_meth_set_read pp_openssl.BIO_meth_set_read
#define BIO_meth_set_write pp_openssl.BIO_meth_set_write
#define BIO_new pp_openssl.BIO_new
#define BIO_s_mem pp_openssl.BIO_s_mem
#define BIO_set_data pp_openssl.BIO_set_data
#define BIO_set_flags pp_openssl.BIO_set_flags
#define BIO_set_init pp_openssl.BIO_set_init
#define CRYPTO_free pp_openssl.CRYPTO_free
#define CRYPTO_memdup pp_openssl.CRYPTO_memdup
#define d2i_OCSP_RESPONSE pp_openssl.d2i_OCSP_RESPONSE
#define d2i_X509 pp_openssl.d2i_X509
#define ERR_clear_error pp_openssl.ERR_clear_error
#define ERR_peek_error pp_openssl.ERR_peek_error
#define ERR_peek_last_error pp_openssl.ERR_peek_last_error
#define ERR_reason_error_string pp_openssl.ERR_reason_error_string
#define EVP_aes_128_gcm pp_openssl.EVP_aes_128_gcm
#define EVP_aes_256_cbc pp_openssl.EVP_aes_256_cbc
#define EVP_aes_256_gcm pp_openssl.EVP_aes_256_gcm
#define EVP_chacha20_poly1305 pp_openssl.EVP_chacha20_poly1305
#define EVP_CIPHER_CTX_ctrl pp_openssl.EVP_CIPHER_CTX_ctrl
#define EVP_CIPHER_CTX_free pp_openssl.EVP_CIPHER_CTX_free
#define EVP_CIPHER_CTX_new pp_openssl.EVP_CIPHER_CTX_new
#define EVP_CIPHER_get_iv_length pp_openssl.EVP_CIPHER_get_iv_length
#define EVP_CipherFinal_ex pp_openssl.EVP_CipherFinal_ex
#define EVP_CipherInit_ex pp_openssl.EVP_CipherInit_ex
#define EVP_CipherUpdate pp_openssl.EVP_CipherUpdate
#define EVP_DecodeBlock pp_openssl.EVP_DecodeBlock
#define EVP_DecryptInit_ex pp_openssl.EVP_DecryptInit_ex
#define EVP_Digest pp_openssl.EVP_Digest
#define EVP_DigestFinal_ex pp_openssl.EVP_DigestFinal_ex
#define EVP_DigestInit_ex pp_openssl.EVP_DigestInit_ex
#define EVP_DigestUpdate pp_openssl.EVP_DigestUpdate
#define EVP_EncodeBlock pp_openssl.EVP_EncodeBlock
#define EVP_EncryptInit_ex pp_openssl.EVP_EncryptInit_ex
#define EVP_KDF_CTX_free pp_openssl.EVP_KDF_CTX_free
#define EVP_KDF_CTX_new pp_openssl.EVP_KDF_CTX_new
#define EVP_KDF_derive pp_openssl.EVP_KDF_derive
#define EVP_KDF_fetch pp_openssl.EVP_KDF_fetch
#define EVP_KDF_free pp_openssl.EVP_KDF_free
#define EVP_MAC_CTX_set_params pp_openssl.EVP_MAC_CTX_set_params
#define EVP_MD_CTX_free pp_openssl.EVP_MD_CTX_free
#define EVP_MD_CTX_new pp_openssl.EVP_MD_CTX_new
#define EVP_sha1 pp_openssl.EVP_sha1
#define EVP_sha256 pp_openssl.EVP_sha256
#define GENERAL_NAMES_free pp_openssl.GENERAL_NAMES_free
#define i2d_OCSP_REQUEST pp_openssl.i2d_OCSP_REQUEST
#define i2d_X509 pp_openssl.i2d_X509
#define i2d_X509_PUBKEY pp_openssl.i2d_X509_PUBKEY
#define OBJ_obj2nid pp_openssl.OBJ_obj2nid
#define OBJ_obj2txt pp_openssl.OBJ_obj2txt
#define OCSP_basic_verify pp_openssl.OCSP_basic_verify
#define OCSP_BASICRESP_free pp_openssl.OCSP_BASICRESP_free
#define OCSP_cert_to_id pp_openssl.OCSP_cert_to_id
#define OCSP_CERTID_dup pp_openssl.OCSP_CERTID_dup
#define OCSP_CERTID_free pp_openssl.OCSP_CERTID_free
#define OCSP_check_validity pp_openssl.OCSP_check_validity
#define OCSP_request_add0_id pp_openssl.OCSP_request_add0_id
#define OCSP_REQUEST_free pp_openssl.OCSP_REQUEST_free
#define OCSP_REQUEST_new pp_openssl.OCSP_REQUEST_new
#define OCSP_resp_find_status pp_openssl.OCSP_resp_find_status
#define OCSP_RESPONSE_free pp_openssl.OCSP_RESPONSE_free
#define OCSP_response_get1_basic pp_openssl.OCSP_response_get1_basic
#define OCSP_response_status pp_openssl.OCSP_response_status
#define OPENSSL_hexchar2int pp_openssl.OPENSSL_hexchar2int
#define OPENSSL_sk_free pp_openssl.OPENSSL_sk_free
#define OPENSSL_sk_new_null pp_openssl.OPENSSL_sk_new_null
#define OPENSSL_sk_num pp_openssl.OPENSSL_sk_num
#define OPENSSL_sk_pop_free pp_openssl.OPENSSL_sk_pop_free
#define OPENSSL_sk_push pp_openssl.OPENSSL_sk_push
#define OPENSSL_sk_value pp_openssl.OPENSSL_sk_value
#define OpenSSL_version pp_openssl.OpenSSL_version
#define SSL_CIPHER_get_protocol_id pp_openssl.SSL_CIPHER_get_protocol_id
#define SSL_CIPHER_standard_name pp_openssl.SSL_CIPHER_standard_name
#define SSL_client_hello_get0_ext pp_openssl.SSL_client_hello_get0_ext
#define SSL_ctrl pp_openssl.SSL_ctrl
#define SSL_CTX_callback_ctrl pp_openssl.SSL_CTX_callback_ctrl
#define SSL_CTX_check_private_key pp_openssl.SSL_CTX_check_private_key
#define SSL_CTX_ctrl pp_openssl.SSL_CTX_ctrl
#define SSL_CTX_free pp_openssl.SSL_CTX_free
#define SSL_CTX_get0_certificate pp_openssl.SSL_CTX_get0_certificate
#define SSL_CTX_get_cert_store pp_openssl.SSL_CTX_get_cert_store
#define SSL_CTX_get_ex_data pp_openssl.SSL_CTX_get_ex_data
#define SSL_CTX_load_verify_file pp_openssl.SSL_CTX_load_verify_file
#define SSL_CTX_new pp_openssl.SSL_CTX_new
#define SSL_CTX_set_cipher_list pp_openssl.SSL_CTX_set_cipher_list
#define SSL_CTX_set_ciphersuites pp_openssl.SSL_CTX_set_ciphersuites
#define SSL_CTX_set_client_CA_list pp_openssl.SSL_CTX_set_client_CA_list
#define SSL_CTX_set_client_hello_cb pp_openssl.SSL_CTX_set_client_hello_cb
#define SSL_CTX_set_default_passwd_cb pp_openssl.SSL_CTX_set_default_passwd_cb
#define SSL_CTX_set_default_verify_paths pp_openssl.SSL_CTX_set_default_verify_paths
#define SSL_CTX_set_ex_data pp_openssl.SSL_CTX_set_ex_data
#define SSL_CTX_set_keylog_callback pp_openssl.SSL_CTX_set_keylog_callback
#define SSL_CTX_set_num_tickets pp_openssl.SSL_CTX_set_num_tickets
#define SSL_CTX_set_options pp_openssl.SSL_CTX_set_options
#define SSL_CTX_set_session_id_context pp_openssl.SSL_CTX_set_session_id_context
#define SSL_CTX_set_timeout pp_openssl.SSL_CTX_set_timeout
#define SSL_CTX_set_tlsext_ticket_key_evp_cb pp_openssl.SSL_CTX_set_tlsext_ticket_key_evp_cb
#define SSL_CTX_set_verify pp_openssl.SSL_CTX_set_verify
#define SSL_CTX_use_certificate_chain_file pp_openssl.SSL_CTX_use_certificate_chain_file
#define SSL_CTX_use_PrivateKey_file pp_openssl.SSL_CTX_use_PrivateKey_file
#define SSL_do_handshake pp_openssl.SSL_do_handshake
#define SSL_free pp_openssl.SSL_free
#define SSL_get0_param pp_openssl.SSL_get0_param
#define SSL_get0_peer_certificate pp_openssl.SSL_get0_peer_certificate
#define SSL_get0_verified_chain pp_openssl.SSL_get0_verified_chain
#define SSL_get_current_cipher pp_openssl.SSL_get_current_cipher
#define SSL_get_error pp_openssl.SSL_get_error
#define SSL_get_peer_cert_chain pp_openssl.SSL_get_peer_cert_chain
#define SSL_get_rbio pp_openssl.SSL_get_rbio
#define SSL_get_servername pp_openssl.SSL_get_servername
#define SSL_get_session pp_openssl.SSL_get_session
#define SSL_get_SSL_CTX pp_openssl.SSL_get_SSL_CTX
#define SSL_get_verify_result pp_openssl.SSL_get_verify_result
#define SSL_has_pending pp_openssl.SSL_has_pending
#define SSL_load_client_CA_file pp_openssl.SSL_load_client_CA_file
#define SSL_new pp_openssl.SSL_new
#define SSL_pending pp_openssl.SSL_pending
#define SSL_read_ex pp_openssl.SSL_read_ex
#define SSL_SESSION_get_max_fragment_length pp_openssl.SSL_SESSION_get_max_fragment_length
#define SSL_session_reused pp_openssl.SSL_session_reused
#define SSL_set1_host pp_openssl.SSL_set1_host
#define SSL_set_accept_state pp_openssl.SSL_set_accept_state
#define SSL_set_bio pp_openssl.SSL_set_bio
#define SSL_set_connect_state pp_openssl.SSL_set_connect_state
#define SSL_set_num_tickets pp_openssl.SSL_set_num_tickets
#define SSL_set_SSL_CTX pp_openssl.SSL_set_SSL_CTX
#define SSL_shutdown pp_openssl.SSL_shutdown
#define SSL_version pp_openssl.SSL_version
#define SSL_write_ex pp_openssl.SSL_write_ex
#define TLS_client_method pp_openssl.TLS_client_method
#define TLS_server_method pp_openssl.TLS_server_method
#define X509_chain_up_ref pp_openssl.X509_chain_up_ref
#define X509_check_host pp_openssl.X509_check_host
#define X509_check_issued pp_openssl.X509_check_issued
#define X509_cmp_current_time pp_openssl.X509_cmp_current_time
#define X509_digest pp_openssl.X509_digest
#define X509_email_free pp_openssl.X509_email_free
#define X509_free pp_openssl.X509_free
#define X509_get0_notAfter pp_openssl.X509_get0_notAfter
#define X509_get1_ocsp pp_openssl.X509_get1_ocsp
#define X509_get_ext_by_NID pp_openssl.X509_get_ext_by_NID
#define X509_get_ext_d2i pp_openssl.X509_get_ext_d2i
#define X509_get_issuer_name pp_openssl.X509_get_issuer_name
#define X509_get_subject_name pp_openssl.X509_get_subject_name
#define X509_get_X509_PUBKEY pp_openssl.X509_get_X509_PUBKEY
#define X509_NAME_entry_count pp_openssl.X509_NAME_entry_count
#define X509_NAME_ENTRY_get_data pp_openssl.X509_NAME_ENTRY_get_data
#define X509_NAME_ENTRY_get_object pp_openssl.X509_NAME_ENTRY_get_object
#define X509_NAME_ENTRY_set pp_openssl.X509_NAME_ENTRY_set
#define X509_NAME_get_entry pp_openssl.X509_NAME_get_entry
#define X509_NAME_print_ex pp_openssl.X509_NAME_print_ex
#define X509_OBJECT_get0_X509 pp_openssl.X509_OBJECT_get0_X509
#define X509_STORE_add_cert pp_openssl.X509_STORE_add_cert
#define X509_STORE_free pp_openssl.X509_STORE_free
#define X509_STORE_get0_objects pp_openssl.X509_STORE_get0_objects
#define X509_STORE_new pp_openssl.X509_STORE_new
#define X509_STORE_set_flags pp_openssl.X509_STORE_set_flags
#define X509_up_ref pp_openssl.X509_up_ref
#define X509_verify_cert_error_string pp_openssl.X509_verify_cert_error_string
#define X509_VERIFY_PARAM_set1_ip_asc pp_openssl.X509_VERIFY_PARAM_set1_ip_asc

#endif
