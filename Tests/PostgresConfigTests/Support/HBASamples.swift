/// Files of the kinds that are found in the field, and lines that were once read wrongly.
enum HBASamples {
    static let all = [
        // Of a package: comments, then a few lines in columns.
        """
        # PostgreSQL Client Authentication Configuration File
        # ===================================================
        #
        # local         DATABASE  USER  METHOD  [OPTIONS]
        # host          DATABASE  USER  ADDRESS  METHOD  [OPTIONS]
        #
        # METHOD can be "trust", "reject", \\ and others.

        # DO NOT DISABLE!
        local   all             postgres                                peer

        # TYPE  DATABASE        USER            ADDRESS                 METHOD

        # "local" is for Unix domain socket connections only
        local   all             all                                     peer
        # IPv4 local connections:
        host    all             all             127.0.0.1/32            scram-sha-256
        # IPv6 local connections:
        host    all             all             ::1/128                 scram-sha-256
        local   replication     all                                     peer
        host    replication     all             127.0.0.1/32            scram-sha-256
        host    replication     all             ::1/128                 scram-sha-256

        """,
        // As initdb writes it, with an old mask and without a final newline.
        "# CAUTION: trust\nlocal   all         all                               trust\nhost    all         all         127.0.0.1         255.255.255.255   trust\n"
            + "host    all         all         ::1/128               md5",
        "local all all peer\r\n\r\n# c\r\nhost all all 10.0.0.0/8 md5\t\r\n\thost\tall\tall\t10.0.0.0/8\tmd5",
        "host all all 10.0.0.0 255.0.0.0 md5\nhost a,b , c +d,\"e f\" samehost trust # x\nhostnossl \"all\" \"+x\" all reject\n",
        "host \"a\"\"b\" x\"y z\" db.example.org md5\nhost all,, all .example.org md5\nhost , all all all md5\n",
        "host all all \\\n 10.0.0.0/8 \\\n md5\nlocal all all \\\nreject\nhost all all fe80::/10 trust\n",
        "# c\\\ncontinued\nlocal all all peer\n",
        "nonsense\nlocal,host all all md5\nhost\nhost all\nhost all all\nhost all all all\nhost all all 1.2.3.4\nhost all all a,b md5\n"
            + "host all all 1.2.3.4 a,b md5\nhost all all all md5,trust\nhost all all all md5 option\nlocal all all peer map=x\n",
        "local replication,sameuser,samerole all trust\nhost all all 1.2.3.4/0 ldap ldapserver=\"a b\" ldapport=389 ldapprefix=\"x=\" ldapsuffix=y\n",
        "local all all trust \\", "local all all trust\\\n", "\\\n\\\nlocal all all trust\n", "\\\\\n\\\nx\n", "local a\\\n\nlocal b all trust\n",
        "host all all all ldap ldapurl=\"http://a/b\"\nhost all all all ldap ldapurl=x\nhost all all all ldap ldapurl=ldap://a\n"
            + "host all all all ldap ldapurl=ldapi://a/b\nhost all all all ldap ldapurl=\"ldap://a/b?c?bad\"\n"
            + "host all all all ldap ldapurl=ldap://a:x/b\nhost all all all ldap ldapurl=\"ldap://a/b?c?sub\" ldapprefix=x\nhost all all all md5 ldapurl=x\n"
            + "host all all all ldap ldapurl=\"ldap://a/b?c?sub?(d=e)\"\nhost all all all ldap ldapurl=ldap:/// ldapprefix=x\n"
            + "host all all all ldap ldapurl=ldap://a/ ldapprefix=x\n"
            + "host all all all ldap ldapurl=\"ldap://a/b?c??\" ldapsearchfilter=x\nhost all all all ldap ldapurl=LDAPS://[::1]:5/%41 ldapprefix=x\n",
    ]

    /// What is no text.
    static let bytes: [[UInt8]] = [
        Array("local \"".utf8) + [0xFF, 0xC3, 0x28] + Array("\" gr\u{FC}n peer\n# ".utf8) + [0x80, 0x0A],
        Array("local all all peer".utf8) + [0] + Array(" x\nlocal ".utf8) + [0] + Array("\nlocal a a trust\\".utf8) + [0x0D, 0x0A] + Array("# \\\n".utf8),
    ]
}
