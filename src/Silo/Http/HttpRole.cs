namespace Phi3VCluster.Silo.Http;

/// <summary>What a caller of the HTTP API may do.</summary>
internal enum HttpRole
{
    /// <summary>Look at everything.</summary>
    Reader,
    /// <summary>Cancel runs and drain nodes too.</summary>
    Operator,
}
