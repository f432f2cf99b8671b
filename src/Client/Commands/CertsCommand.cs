using System.CommandLine;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Phi3VCluster.Client.App;
using Phi3VCluster.Spec;
using Phi3VCluster.Tls;

namespace Phi3VCluster.Client.Commands;

/// <summary>A private authority and certificates of it, for who has no cert-manager.</summary>
internal sealed partial class CertsCommand : Verb
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const string Authority = "authority";
    private const int AuthorityDays = 3650;

    private readonly Option<string> _to = new("--to")
    {
        Description = "Folder for the files; an authority that is there is used again.",
        HelpName = "FOLDER",
        Required = true,
    };
    private readonly Option<string[]> _silos = new("--silo") { Description = "A certificate for a silo. Repeatable.", HelpName = "NAME" };
    private readonly Option<string[]> _clients = new("--client")
    {
        Description = "A certificate for somebody who uses the CLI. Repeatable.",
        HelpName = "NAME",
    };
    private readonly Option<string[]> _servers = new("--server")
    {
        Description = "A certificate for a Redis, or for a silo's page, by the name or address that it is asked by. Repeatable.",
        HelpName = "HOST",
    };
    private readonly Option<int> _days = new("--days")
    {
        Description = $"How long the certificates hold; an authority that is made holds {AuthorityDays}.",
        HelpName = "N",
        DefaultValueFactory = _ => 365,
    };

    public CertsCommand() : base("certs", "Make certificates for silos and clients, and the private authority they are of.",
        "phi3v certs --to certs --silo gpu-1 --silo gpu-2 --client alice")
    {
        foreach (var option in (Option[])[_to, _silos, _clients, _servers, _days]) Options.Add(option);
    }

    protected override Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var folder = UserPath.Absolute(parsed.GetRequiredValue(_to));
        var (silos, clients, days) = (parsed.GetValue(_silos) ?? [], parsed.GetValue(_clients) ?? [], parsed.GetValue(_days));
        var servers = parsed.GetValue(_servers) ?? [];
        var problems = Problems(folder, [.. silos, .. clients, .. servers], days).ToList();
        if (problems.Count > 0) throw new InputException(problems);
        Directory.CreateDirectory(folder);
        var authority = OpenAuthority(folder, out var isNew);
        var life = TimeSpan.FromDays(days);
        var until = DateTimeOffset.UtcNow + life < authority.Expiry ? DateTimeOffset.UtcNow + life : authority.Expiry;
        foreach (var silo in silos) Write(folder, silo, authority.Issue(silo, PeerRole.Silo, life));
        foreach (var client in clients) Write(folder, client, authority.Issue(client, PeerRole.Client, life));
        foreach (var server in servers) Write(folder, server, authority.IssueServer(server, life));
        output.Result(
            new
            {
                Folder = folder,
                Authority = CertificateOf(folder, Authority),
                AuthorityIsNew = isNew,
                silos,
                clients,
                servers,
                Until = until,
            },
            to => to.Line($"{folder}: {(isNew ? "a new authority" : "the authority that was there")}, "
                + $"{Count(silos.Length, "silo")}, {Count(clients.Length, "client")} and "
                + $"{Count(servers.Length, "server")}, valid until {until:yyyy-MM-dd}\n"
                + $"{Authority}.key makes more of them: keep it where no silo and no client is"));
        return Task.FromResult(ExitCode.Done);
    }

    private static IEnumerable<string> Problems(string folder, string[] names, int days)
    {
        if (days is < 1 or > AuthorityDays) yield return $"--days: must be 1 to {AuthorityDays}, got {days}; 365 is usual.";
        if (names.Length == 0) yield return "--silo, --client, --server: at least one must be given, got none; name one.";
        foreach (var name in names.Where(name => !FileName().IsMatch(name) || name == Authority))
            yield return $"--silo, --client, --server: must be letters, digits, '.', '_' and '-', and not {Authority}, got '{name}'; "
                + "choose another.";
        foreach (var twice in names.GroupBy(name => name).Where(same => same.Count() > 1))
            yield return $"--silo, --client, --server: each name must be given once, got '{twice.Key}' {twice.Count()} times; "
                + "leave one out.";
        if (File.Exists(folder)) yield return $"--to: must be a folder, got the file {folder}; choose another.";
        var files = names.Distinct().SelectMany(name => (string[])[CertificateOf(folder, name), KeyOf(folder, name)]);
        foreach (var file in files.Where(File.Exists))
            yield return $"--to: a file would be lost, got {file}; move it away, or choose another name.";
        var (certificate, key) = (CertificateOf(folder, Authority), KeyOf(folder, Authority));
        if (File.Exists(certificate) != File.Exists(key))
            yield return $"--to: an authority is two files, got only {(File.Exists(key) ? key : certificate)}; bring the other one back, "
                + "or choose another folder.";
    }

    private static CertificateAuthority OpenAuthority(string folder, out bool isNew)
    {
        var (certificate, key) = (CertificateOf(folder, Authority), KeyOf(folder, Authority));
        isNew = !File.Exists(certificate);
        if (isNew)
        {
            var made = CertificateAuthority.Create("phi3v authority", TimeSpan.FromDays(AuthorityDays));
            Write(key, made.KeyPem, certificate, made.CertificatePem);
            return made;
        }
        try
        {
            var there = CertificateAuthority.FromPem(File.ReadAllText(certificate), File.ReadAllText(key));
            return there.Expiry > DateTimeOffset.UtcNow
                ? there
                : throw new InputException($"--to: the authority there must not be over, got {certificate}, which ended {there.Expiry:u}; "
                    + "choose another folder.");
        }
        catch (Exception error) when (error is CryptographicException or ArgumentException)
        {
            throw new InputException($"--to: the authority there cannot be used, got {certificate} ({error.Message.TrimEnd('.')}); "
                + "choose another folder.");
        }
    }

    private static void Write(string folder, string name, (string Certificate, string Key) made) =>
        Write(KeyOf(folder, name), made.Key, CertificateOf(folder, name), made.Certificate);

    /// <summary>Both or neither: the half of a pair would only be in the way of the next try.</summary>
    private static void Write(string key, string keyPem, string certificate, string certificatePem)
    {
        try
        {
            Write(key, keyPem, OwnerOnly);
            Write(certificate, certificatePem);
        }
        catch (IOException error)
        {
            File.Delete(certificate);
            File.Delete(key);
            throw new CommandFailedException(
                $"--to: {key} and its certificate cannot be written ({error.Message}); make room, and try again.");
        }
    }

    private static void Write(string path, string text, UnixFileMode? mode = null)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = mode;
        using var file = new StreamWriter(path, options);
        file.Write(text);
        file.Write('\n');
    }

    private static string CertificateOf(string folder, string name) => Path.Combine(folder, $"{name}.crt");

    private static string KeyOf(string folder, string name) => Path.Combine(folder, $"{name}.key");

    private static string Count(int number, string what) => $"{number} {what}{(number == 1 ? "" : "s")}";

    [GeneratedRegex(@"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\z")]
    private static partial Regex FileName();
}
