/// What pgBackRest 2.45 printed with PostgreSQL 15: recorded from real runs, most file lines left out.
enum Recorded {
    static let backup = #"""
        2026-11-21 04:10:42.951 P00   INFO: backup command begin 2.45: --compress-type=lz4 --config=/srv/pg/pgbackrest.conf --exec-id=23911-a95396f7 --lock-path=/srv/pg/lock --log-level-console=detail --log-level-file=off --log-path=/srv/pg/log --pg1-path=/srv/pg/src --pg1-port=54911 --pg1-socket-path=/srv/pg --process-max=2 --repo1-bundle --repo1-path=/srv/pg/repo --stanza=n1 --start-fast --type=full
        WARN: option 'repo1-retention-full' is not set for 'repo1-retention-full-type=count', the repository may run out of space
              HINT: to retain full backups indefinitely (without warning), set option 'repo1-retention-full' to the maximum.
        2026-11-21 04:10:43.656 P00   INFO: execute non-exclusive backup start: backup begins after the requested immediate checkpoint completes
        2026-11-21 04:10:44.058 P00   INFO: backup start archive = 00000001000000000000000E, lsn = 0/E000028
        2026-11-21 04:10:44.058 P00   INFO: check archive for prior segment 00000001000000000000000D
        2026-11-21 04:10:45.106 P00 DETAIL: store zero-length file /srv/pg/src/base/1/13394
        2026-11-21 04:10:45.106 P00 DETAIL: store zero-length file /srv/pg/src/base/1/13399
        2026-11-21 04:10:45.107 P00 DETAIL: store zero-length file /srv/pg/src/global/6243
        2026-11-21 04:10:45.107 P00 DETAIL: store zero-length file /srv/pg/src/global/6244
        2026-11-21 04:10:45.224 P02 DETAIL: backup file /srv/pg/src/pg_multixact/members/0000 (bundle 1/0, 8KB, 0.00%) checksum 0631457264ff7f8d5fb1edc2c0211992a67c73e6
        2026-11-21 04:10:45.224 P02 DETAIL: backup file /srv/pg/src/pg_ident.conf (bundle 1/62, 1.6KB, 0.00%) checksum 71cba3da935791f93afc8535cc075d1f61a6fe12
        2026-11-21 04:10:45.224 P02 DETAIL: backup file /srv/pg/src/pg_hba.conf (bundle 1/1271, 4.7KB, 0.00%) checksum 1ee4e0e9d51608effc7bcb57647a28507bb23891
        2026-11-21 04:10:45.224 P02 DETAIL: backup file /srv/pg/src/global/pg_filenode.map (bundle 1/4003, 512B, 0.00%) checksum 8426f71eec225fb3087aa80427d8e6b4e6a8a65b
        2026-11-21 04:10:45.224 P02 DETAIL: backup file /srv/pg/src/global/6247 (bundle 1/4260, 8KB, 0.01%) checksum 5981e4da18c8a117b2a927759dd9be7a533c481c
        2026-11-21 04:10:45.235 P02 DETAIL: backup file /srv/pg/src/base/5/1249_fsm (bundle 2/285124, 24KB, 11.75%) checksum 1ed91bdd5e5b454944639bba89092f0939b3a213
        2026-11-21 04:10:45.235 P02 DETAIL: backup file /srv/pg/src/base/5/1249 (bundle 2/285413, 520KB, 12.02%) checksum 39364114caec41d5ecec0539a3037f6e0cada834
        2026-11-21 04:10:45.235 P02 DETAIL: backup file /srv/pg/src/base/5/1247_vm (bundle 2/351519, 8KB, 12.03%) checksum ba60cddcecba0af17ee7e9e1ee12a91fc1b6c8da
        2026-11-21 04:10:45.235 P02 DETAIL: backup file /srv/pg/src/base/5/1247 (bundle 2/351608, 120KB, 12.09%) checksum 39826b27b7072bfd7b97683a7e449efa985a1bca
        2026-11-21 04:10:45.235 P02 DETAIL: backup file /srv/pg/src/global/pg_control (bundle 2/372309, 8KB, 12.10%) checksum 66fe26f619b9207001398e69bf0a0bd1fa33775f
        2026-11-21 04:10:45.721 P01 DETAIL: backup file /srv/pg/src/base/5/16384 (160.9MB, 100.00%) checksum 7d13cf43631407e50550870b7354c3431360dd78
        2026-11-21 04:10:45.823 P00   INFO: execute non-exclusive backup stop and wait for all WAL segments to archive
        2026-11-21 04:10:45.923 P00   INFO: backup stop archive = 00000001000000000000000E, lsn = 0/E000100
        2026-11-21 04:10:45.924 P00 DETAIL: wrote 'backup_label' file returned from backup stop function
        2026-11-21 04:10:45.924 P00   INFO: check archive for segment(s) 00000001000000000000000E:00000001000000000000000E
        2026-11-21 04:10:45.935 P00   INFO: new backup label = 20261121-041043F
        2026-11-21 04:10:45.957 P00   INFO: full backup size = 183.0MB, file total = 967
        2026-11-21 04:10:45.957 P00   INFO: backup command end: completed successfully (3007ms)
        2026-11-21 04:10:45.957 P00   INFO: expire command begin 2.45: --config=/srv/pg/pgbackrest.conf --exec-id=23911-a95396f7 --lock-path=/srv/pg/lock --log-level-console=detail --log-level-file=off --log-path=/srv/pg/log --repo1-path=/srv/pg/repo --stanza=n1
        2026-11-21 04:10:45.959 P00   INFO: option 'repo1-retention-archive' is not set - archive logs will not be expired
        2026-11-21 04:10:45.959 P00   INFO: expire command end: completed successfully (2ms)
        """#

    static let restoreDelta = #"""
        2026-11-21 04:12:22.283 P00   INFO: restore command begin 2.45: --config=/srv/pg/pgbackrest-dst.conf --delta --exec-id=26104-1100804f --lock-path=/srv/pg/lock --log-level-console=detail --log-level-file=off --log-path=/srv/pg/log --pg1-path=/srv/pg/dst --process-max=2 --repo1-path=/srv/pg/repo --stanza=n1 --type=standby
        2026-11-21 04:12:22.293 P00   INFO: repo1: restore backup set 20261121-041043F, recovery will start at 2026-11-21 04:10:43
        2026-11-21 04:12:22.293 P00   INFO: remap data directory to '/srv/pg/dst'
        2026-11-21 04:12:22.293 P00 DETAIL: check '/srv/pg/dst' exists
        2026-11-21 04:12:22.293 P00 DETAIL: remove 'global/pg_control' so cluster will not start if restore does not complete
        2026-11-21 04:12:22.294 P00   INFO: remove invalid files/links/paths from '/srv/pg/dst'
        2026-11-21 04:12:22.316 P00 DETAIL: remove invalid file '/srv/pg/dst/standby.signal'
        2026-11-21 04:12:22.359 P02 DETAIL: restore file /srv/pg/dst/backup_label - exists and matches backup (258B, 0.00%) checksum 5ab6a9389159ad17ae9c618b2de0e779675c465e
        2026-11-21 04:12:22.452 P02 DETAIL: restore file /srv/pg/dst/pg_multixact/members/0000 - exists and matches backup (bundle 1/0, 8KB, 0.00%) checksum 0631457264ff7f8d5fb1edc2c0211992a67c73e6
        2026-11-21 04:12:22.452 P02 DETAIL: restore file /srv/pg/dst/pg_ident.conf - exists and matches backup (bundle 1/62, 1.6KB, 0.01%) checksum 71cba3da935791f93afc8535cc075d1f61a6fe12
        2026-11-21 04:12:22.452 P02 DETAIL: restore file /srv/pg/dst/pg_hba.conf - exists and matches backup (bundle 1/1271, 4.7KB, 0.01%) checksum 1ee4e0e9d51608effc7bcb57647a28507bb23891
        2026-11-21 04:12:22.452 P02 DETAIL: restore file /srv/pg/dst/global/pg_filenode.map - exists and matches backup (bundle 1/4003, 512B, 0.01%) checksum 8426f71eec225fb3087aa80427d8e6b4e6a8a65b
        2026-11-21 04:12:22.687 P01 DETAIL: restore file /srv/pg/dst/base/5/16384 - exists and matches backup (160.9MB, 100.00%) checksum 7d13cf43631407e50550870b7354c3431360dd78
        2026-11-21 04:12:22.688 P00   INFO: write updated /srv/pg/dst/postgresql.auto.conf
        2026-11-21 04:12:22.691 P00 DETAIL: sync path '/srv/pg/dst/pg_xact'
        2026-11-21 04:12:22.691 P00   INFO: restore global/pg_control (performed last to ensure aborted restores cannot be started)
        2026-11-21 04:12:22.691 P00 DETAIL: sync path '/srv/pg/dst/global'
        2026-11-21 04:12:22.691 P00   INFO: restore size = 183.0MB, file total = 967
        2026-11-21 04:12:22.691 P00   INFO: restore command end: completed successfully (410ms)
        """#

    static let info = #"""
        [{"archive":[{"database":{"id":1,"repo-key":1},"id":"15-1","max":"00000001000000000000000E","min":"00000001000000000000000C"}],"backup":[{"archive":{"start":"00000001000000000000000E","stop":"00000001000000000000000E"},"backrest":{"format":5,"version":"2.45"},"database":{"id":1,"repo-key":1},"error":false,"info":{"delta":191887160,"repository":{"delta":45869103,"size":45869103},"size":191887160},"label":"20261121-041043F","lsn":{"start":"0/E000028","stop":"0/E000100"},"prior":null,"reference":null,"timestamp":{"start":1795234243,"stop":1795234245},"type":"full"}],"cipher":"none","db":[{"id":1,"repo-key":1,"system-id":7710472219068492593,"version":"15"}],"name":"n1","repo":[{"cipher":"none","key":1,"status":{"code":0,"message":"ok"}}],"status":{"code":0,"lock":{"backup":{"held":true}},"message":"ok"}}]
        """#

    static let infoMissingStanza = #"""
        [{"archive":[],"backup":[],"cipher":"none","db":[],"name":"n1","repo":[{"cipher":"none","key":1,"status":{"code":1,"message":"missing stanza path"}}],"status":{"code":1,"lock":{"backup":{"held":false}},"message":"missing stanza path"}}]
        """#

    static let infoPermissionDenied = #"""
        [{"archive":[],"backup":[],"cipher":"none","db":[],"name":"n1","repo":[{"cipher":"none","key":1,"status":{"code":99,"message":"[PathOpenError] unable to list file info for path '/root/repo/backup': [13] Permission denied"}}],"status":{"code":99,"lock":{"backup":{"held":false}},"message":"other"}}]
        """#
}
