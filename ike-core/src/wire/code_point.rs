//! Numbers of the IKEv2 registry that more than one payload speaks of.

/// Makes a newtype over a registry's integer, with its known values as constants. `Debug` prints a
/// known value's name and an unknown value's number.
macro_rules! code_points {
    ($(#[$meta:meta])* $name:ident($repr:ty) { $($(#[$doc:meta])* $constant:ident = $value:literal,)* }) => {
        $(#[$meta])*
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $repr);

        impl $name {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The registry's name of this value, if it is known here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($constant)),)*
                    _ => None,
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!(stringify!($name), "({})"), self.0),
                }
            }
        }
    };
}
pub(super) use code_points;

code_points! {
    /// What an exchange is for (RFC 7296 §3.1).
    ExchangeType(u8) {
        /// Agrees on algorithms and keys (RFC 7296 §1.2).
        IKE_SA_INIT = 34,
        /// Authenticates both ends, makes the first Child SA (RFC 7296 §1.2).
        IKE_AUTH = 35,
        /// Makes or rekeys an SA (RFC 7296 §1.3).
        CREATE_CHILD_SA = 36,
        /// Everything else (RFC 7296 §1.4).
        INFORMATIONAL = 37,
        /// Between IKE_SA_INIT and IKE_AUTH (RFC 9242).
        IKE_INTERMEDIATE = 43,
        /// Further key exchanges after CREATE_CHILD_SA (RFC 9370 §2.2.4).
        IKE_FOLLOWUP_KE = 44,
    }
}

code_points! {
    /// Payload types (RFC 7296 §3.2, RFC 7383 §2.5).
    PayloadType(u8) {
        /// No payload follows.
        NONE = 0,
        /// Security Association.
        SA = 33,
        /// Key Exchange.
        KE = 34,
        /// Identification of the initiator.
        IDI = 35,
        /// Identification of the responder.
        IDR = 36,
        /// Certificate.
        CERT = 37,
        /// Certificate Request.
        CERTREQ = 38,
        /// Authentication.
        AUTH = 39,
        /// Nonce.
        NONCE = 40,
        /// Notify.
        NOTIFY = 41,
        /// Delete.
        DELETE = 42,
        /// Vendor ID.
        VENDOR_ID = 43,
        /// Traffic Selectors of the initiator.
        TSI = 44,
        /// Traffic Selectors of the responder.
        TSR = 45,
        /// Encrypted and Authenticated.
        SK = 46,
        /// Configuration.
        CP = 47,
        /// Extensible Authentication.
        EAP = 48,
        /// Encrypted and Authenticated Fragment.
        SKF = 53,
    }
}

impl PayloadType {
    /// Whether this is the last payload of its chain, with others inside (RFC 7296 §3.14, RFC 7383 §2.5).
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::SK | Self::SKF)
    }
}

code_points! {
    /// Whose SA an SPI names (RFC 7296 §3.3.1).
    Protocol(u8) {
        /// None: the message is not about an existing SA (RFC 7296 §3.10).
        NONE = 0,
        /// IKE.
        IKE = 1,
        /// Authentication Header.
        AH = 2,
        /// Encapsulating Security Payload.
        ESP = 3,
    }
}

code_points! {
    /// Types of identity (RFC 7296 §3.5, RFC 7619 §2.2).
    IdType(u8) {
        /// Four octets.
        IPV4_ADDR = 1,
        /// Domain name in ASCII, without a terminator.
        FQDN = 2,
        /// Mail address, without a terminator.
        RFC822_ADDR = 3,
        /// Sixteen octets.
        IPV6_ADDR = 5,
        /// DER of a distinguished name.
        DER_ASN1_DN = 9,
        /// DER of a general name.
        DER_ASN1_GN = 10,
        /// Opaque octets.
        KEY_ID = 11,
        /// Nobody in particular; no data.
        NULL = 13,
    }
}

code_points! {
    /// How certificates and keys are encoded (RFC 7296 §3.6, RFC 7670 §3).
    CertEncoding(u8) {
        /// X.509 certificate in DER.
        X509_SIGNATURE = 4,
        /// PKCS #1 RSAPublicKey in DER; deprecated.
        RAW_RSA_KEY = 11,
        /// SubjectPublicKeyInfo in DER.
        RAW_PUBLIC_KEY = 15,
    }
}

code_points! {
    /// Methods of authentication (RFC 7296 §3.8, RFC 4754 §7, RFC 7619, RFC 7427).
    AuthMethod(u8) {
        /// RSASSA-PKCS1-v1_5.
        RSA_DIGITAL_SIGNATURE = 1,
        /// A MAC under a shared key.
        SHARED_KEY = 2,
        /// ECDSA with SHA-256 on P-256, 64 octets.
        ECDSA_P256 = 9,
        /// ECDSA with SHA-384 on P-384, 96 octets.
        ECDSA_P384 = 10,
        /// ECDSA with SHA-512 on P-521, 132 octets.
        ECDSA_P521 = 11,
        /// Nobody is authenticated.
        NULL = 13,
        /// A signature with its AlgorithmIdentifier.
        DIGITAL_SIGNATURE = 14,
    }
}
