using System.Net.Security;

namespace Phi3VCluster.Training.Collectives;

/// <summary>
/// What a rank shows ranks of other machines of itself, and asks of them: certificates of both ends. A rank that has none speaks to
/// others in the clear. Called from any thread.
/// </summary>
public interface IPeerTls
{
    /// <param name="options">To fill in, for the end that is connected to.</param>
    /// <param name="refused">Told who was refused (what its certificate says, where it has shown one), and why.</param>
    void Prepare(SslServerAuthenticationOptions options, Action<string, string> refused);

    /// <inheritdoc cref="Prepare(SslServerAuthenticationOptions, Action{string, string})"/>
    void Prepare(SslClientAuthenticationOptions options, Action<string, string> refused);

    /// <summary>For the node's log: a sentence of who was refused, and why.</summary>
    void Note(string refusal);
}
